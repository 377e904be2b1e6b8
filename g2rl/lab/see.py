"""`python -m g2rl.lab.see`: does a score see what is new? Without training, and after some steps of GRPO.

Among the right responses to a problem take a pair that went by the same equations in other words, and a pair that went
by different equations: with which probability is the first judged the more similar one? 0.5 is chance.

Shape suffixes: N right responses to a problem, H components of a vector.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from g2rl.evaluation.metrics import bootstrap_interval
from g2rl.features import gradient_features, mean_over_tokens
from g2rl.lab.policy import prefill
from g2rl.lab.settings import compose_lab
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


def vectors_of(laboratory: Laboratory, problems: int, samples: int) -> list[tuple[dict[str, Tensor], Tensor, Tensor]]:
    """Of each problem: name -> vectors [N, H] of its right responses, their ways and their texts, numbered."""
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
        rows = torch.tensor([way is not None for way in ways]).nonzero()[:, 0]
        if len(rows) < 3:
            continue
        head = gradient_features(
            responses.hidden, laboratory.model.lm_head.weight, responses.tokens, responses.rows, samples
        )
        lengths = responses.lengths.float()
        sums = torch.zeros_like(head.features).index_add(0, responses.rows, responses.hidden)
        uncertain = gradient_features(
            responses.hidden,
            laboratory.model.lm_head.weight,
            responses.tokens,
            responses.rows,
            samples,
            token_weights=head.entropy,
        )
        vectors = {
            "gradient features": head.features,
            "gradient features, tokens weighted by entropy": uncertain.features,
            "hidden states": mean_over_tokens(sums, lengths),
            "embeddings": torch.from_numpy(laboratory.embedder.embed(texts)),
        }
        generator = torch.Generator().manual_seed(0)
        for name in ("gradient features", "hidden states"):
            projection = torch.randn(vectors[name].shape[1], 32, generator=generator)
            vectors[f"{name}, 32 random directions"] = vectors[name] @ projection
        kept = [texts[row] for row in rows.tolist()]
        found.append(
            (
                {name: value[rows] for name, value in vectors.items()},
                numbered(str(ways[row]) for row in rows.tolist()),
                numbered(kept),
            )
        )
    return found


def table(found: list[tuple[dict[str, Tensor], Tensor, Tensor]]) -> dict[str, dict[str, list[float]]]:
    """Vectors -> similarity -> [mean over problems, low, high of its 95 % interval over problems, problems]."""
    result: dict[str, dict[str, list[float]]] = {}
    for name in found[0][0]:
        result[name] = {}
        for similarity, of_vectors in SIMILARITIES.items():
            per_problem = [probability(of_vectors(vectors[name]), ways, texts) for vectors, ways, texts in found]
            values = np.array([value for value in per_problem if value is not None])
            low, high = bootstrap_interval(values)
            result[name][similarity] = [float(values.mean()), float(low), float(high), len(values)]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m g2rl.lab.see", description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40, help="of GRPO, for the half-trained policy")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    config, task = compose_lab(["exploration=grpo", "seed=1"])
    laboratory = Laboratory(config, build_method(config.exploration), task)
    tables = {"untrained": table(vectors_of(laboratory, options.problems, options.samples))}
    for step in tqdm(range(1, options.steps + 1), desc="GRPO", unit="step", disable=None):
        laboratory.step(step)
    tables[f"after {options.steps} steps of GRPO"] = table(vectors_of(laboratory, options.problems, options.samples))
    with atomic_file(options.out / "sees.json") as temporary:
        temporary.write_text(json.dumps(tables, indent=1) + "\n")
    with atomic_file(options.out / "sees.md") as temporary:
        temporary.write_text(as_markdown(tables))


def as_markdown(tables: dict[str, dict[str, dict[str, list[float]]]]) -> str:
    parts = []
    for policy, of_policy in tables.items():
        rows = [[policy, *SIMILARITIES]]
        for name, of_vectors in of_policy.items():
            rows.append([name, *("{:.2f} [{:.2f}, {:.2f}]".format(*cell[:3]) for cell in of_vectors.values())])
        problems = int(next(iter(next(iter(of_policy.values())).values()))[3])
        parts += [markdown_table(rows), f"{problems} problems have both kinds of pairs.\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    main()
