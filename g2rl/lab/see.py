"""`python -m g2rl.lab.see`: does a score see what is new? Without training, and after some steps of GRPO.

Among the right responses to a problem take a pair that went by the same equations in other words, and a pair that went
by different equations: with which probability is the first judged the more similar one? 0.5 is chance.

Shape suffixes: N right responses to a problem, H components of a vector.
"""

import argparse
import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from g2rl.embedding import Embedder
from g2rl.evaluation.metrics import bootstrap_interval
from g2rl.features import TokenPass, gradient_features, mean_over_tokens
from g2rl.lab.compose import compose_lab
from g2rl.lab.policy import Responses, prefill, select
from g2rl.lab.study import FOLDER
from g2rl.lab.tasks import derivation
from g2rl.lab.train import Laboratory, numbered
from g2rl.methods.build import build_method
from g2rl.utils.files import atomic_file
from g2rl.utils.markdown import markdown_table

SIMILARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "squared": lambda vectors: cosines(vectors).square(),
    "signed": lambda vectors: cosines(vectors),
    "positive": lambda vectors: cosines(vectors).clamp(min=0),
    "centred, squared": lambda vectors: cosines(vectors - vectors.mean(0)).square(),
    "centred, signed": lambda vectors: cosines(vectors - vectors.mean(0)),
}


def cosines(vectors_NH: Tensor) -> Tensor:
    unit_NH = torch.nn.functional.normalize(vectors_NH.double(), dim=1)
    return unit_NH @ unit_NH.T


def probability(similarity_NN: Tensor, ways_N: Tensor, texts_N: Tensor) -> float | None:
    """P(a pair of one way in other words is more similar than a pair of different ways), ties counting one half.

    None where the problem has no such two pairs.
    """
    first, second = torch.triu_indices(len(ways_N), len(ways_N), offset=1)
    values, same = similarity_NN[first, second], ways_N[first] == ways_N[second]
    alike = values[same & (texts_N[first] != texts_N[second])]
    other = values[~same]
    if not len(alike) or not len(other):
        return None
    difference = alike[:, None] - other
    return ((difference > 1e-9).double() + 0.5 * (difference.abs() <= 1e-9).double()).mean().item()


class Found(NamedTuple):
    """The right responses to one problem that went by a derivation."""

    vectors: dict[str, Tensor]  # name -> [N, H]
    ways: Tensor  # [N] int64, equal where the equations are
    texts: Tensor  # [N] int64, equal where the texts are


def found_in(laboratory: Laboratory, problems: int, samples: int) -> list[Found]:
    """Of each problem of the validation that has at least three such responses."""
    found = []
    for number, problem in enumerate(tqdm(laboratory.validation[:problems], desc="sampling", disable=None)):
        with torch.no_grad():
            prefix = prefill(laboratory.model, laboratory.prompts([problem]))
        responses = laboratory.sample(prefix, torch.zeros(samples, dtype=torch.int64), 1.0, f"see-{number}")
        correct_N, _, texts = laboratory.correct(responses, [problem])
        ways = [
            derivation(text, problem.answer) if right else None
            for text, right in zip(texts, correct_N.tolist(), strict=True)
        ]
        rows = [row for row, way in enumerate(ways) if way is not None]
        if len(rows) >= 3:
            found.append(compared(laboratory.model, responses, texts, ways, rows, laboratory.embedder))
    return found


def compared(
    model: Any,
    responses: Responses,
    texts: Sequence[str],
    ways: Sequence[str | None],
    rows: Sequence[int],
    embedder: Embedder,
    temperature: float = 1.0,
) -> Found:
    """Of the given rows, the vectors that a score may compare."""
    part = select(responses, torch.tensor(rows))
    kept = [texts[row] for row in rows]

    def features(token_weights_T: Tensor | None = None) -> TokenPass:
        return gradient_features(
            part.hidden,
            model.lm_head.weight.detach(),
            part.tokens,
            part.rows,
            len(rows),
            token_weights=token_weights_T,
            temperature=temperature,
        )

    head = features()
    sums = torch.zeros_like(head.features).index_add(0, part.rows, part.hidden)
    vectors = {
        "gradient features": head.features,
        "gradient features, a_t = entropy": features(head.entropy).features,
        "gradient features, a_t = −log p": features(-head.log_probs).features,
        "hidden states": mean_over_tokens(sums, part.lengths.float()),
        "embeddings": torch.from_numpy(embedder.embed(kept)),
    }
    generator = torch.Generator().manual_seed(0)
    for name in ("gradient features", "hidden states"):
        projection = torch.randn(vectors[name].shape[1], 32, generator=generator)
        vectors[f"{name}, 32 random directions"] = vectors[name] @ projection
    return Found(vectors, numbered(str(ways[row]) for row in rows), numbered(kept))


class Cell(NamedTuple):
    """A mean over problems with its 95 % bootstrap interval over problems."""

    mean: float
    low: float
    high: float
    problems: int


Table = dict[str, dict[str, Cell]]  # vectors -> similarity


def table(found: Sequence[Found]) -> Table:
    """
    Raises:
        ValueError: no problem has both kinds of pairs.
    """
    result: Table = {}
    for name in found[0].vectors if found else ():
        result[name] = {}
        for similarity, of_vectors in SIMILARITIES.items():
            each = [probability(of_vectors(one.vectors[name]), one.ways, one.texts) for one in found]
            values = np.array([value for value in each if value is not None])
            if not len(values):
                break
            low, high = bootstrap_interval(values)
            result[name][similarity] = Cell(float(values.mean()), float(low), float(high), len(values))
    if not any(result.values()):
        raise ValueError("no problem has a pair of one way in other words and a pair of different ways: sample more.")
    return result


def write(tables: Mapping[str, Table], stem: Path) -> None:
    """`stem`.csv and `stem`.md."""
    with atomic_file(stem.with_suffix(".csv")) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["policy", "vectors", "similarity", "probability", "low", "high", "problems"])
        for policy, of_policy in tables.items():
            for name, of_vectors in of_policy.items():
                for similarity, cell in of_vectors.items():
                    numbers = [f"{value:.4f}" for value in cell[:3]]
                    writer.writerow([policy, name, similarity, *numbers, cell.problems])
    with atomic_file(stem.with_suffix(".md")) as temporary:
        temporary.write_text(as_markdown(tables))


def as_markdown(tables: Mapping[str, Table]) -> str:
    parts = []
    for policy, of_policy in tables.items():
        rows = [[policy, *SIMILARITIES]]
        for name, of_vectors in of_policy.items():
            rows.append([name, *("{:.2f} [{:.2f}, {:.2f}]".format(*cell[:3]) for cell in of_vectors.values())])
        problems = next(iter(next(iter(of_policy.values())).values())).problems
        parts += [markdown_table(rows), f"{problems} problems have both kinds of pairs.\n"]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m g2rl.lab.see", description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50, help="of GRPO, for the half-trained policy")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    config, task = compose_lab(["exploration=grpo", "seed=1"])
    laboratory = Laboratory(config, build_method(config.exploration), task)
    tables = {"untrained": table(found_in(laboratory, options.problems, options.samples))}
    for step in tqdm(range(1, options.steps + 1), desc="GRPO", unit="step", disable=None):
        laboratory.step(step)
    tables[f"after {options.steps} steps of GRPO"] = table(found_in(laboratory, options.problems, options.samples))
    write(tables, options.out / "sees")


if __name__ == "__main__":
    main()
