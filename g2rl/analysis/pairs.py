"""How the gradient features of a policy's responses to one problem lie to each other (arXiv 2512.15687, §3.5).

Every model is analysed under its own policy: its own samples, their gradient features. Beside their cosines stand those
of sentence embeddings of the same responses, pair by pair.

Shape suffixes: N responses, T response tokens, H hidden size, P problems, K samples of a problem, R pairs.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm
from transformers import AutoModelForCausalLM

from g2rl.evaluation.metrics import bootstrap_interval
from g2rl.evaluation.sampling import check_language_model_head
from g2rl.features import check_plain_logits, gradient_features
from g2rl.geometry import group_cosines
from g2rl.utils.files import atomic_file
from g2rl.utils.markdown import markdown_table

PUBLISHED = {  # arXiv:2512.15687, §3.5: AIME25, 8 samples a problem, Qwen3-4B-Base
    "mean_gradient_cosine": {"grpo": 0.208, "g2rl": 0.064},
    "negative_share": {"grpo": 0.0591, "evol": 0.189, "g2rl": 0.2809},
    "mean_semantic_cosine": {"grpo": 0.738, "g2rl": 0.769},
}


@dataclass(frozen=True)
class Pairs:
    """Cosines of all pairs of samples of a problem; NaN where a response has no direction (a zero feature)."""

    problems: list[str]  # P
    first: np.ndarray  # [R'] sample numbers of the pairs of one problem, the same for every problem
    second: np.ndarray  # [R']
    gradient: np.ndarray  # [P, R']
    semantic: np.ndarray  # [P, R']


@torch.no_grad()
def response_features(
    model_name: str,
    prompts: Sequence[list[int]],
    responses: Sequence[list[int]],
    temperature: float,
    device: torch.device,
) -> Tensor:
    """The gradient feature of each response under the model itself, at the temperature it was sampled with.

    Args:
        prompts, responses: N lists of token ids.

    Returns:
        [N, H] float32 on the CPU.

    Raises:
        ValueError: the model has no language-model head or transforms its logits after it, or the temperature is not
            positive.
    """
    check_language_model_head(model_name)
    dtype = "auto" if device.type == "cuda" else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(model_name, dtype=dtype)
    check_plain_logits(model.config.get_text_config())
    model.to(device).eval()
    head = model.get_output_embeddings()
    features = []
    for prompt, response in tqdm(zip(prompts, responses, strict=True), total=len(prompts), desc="features"):
        input_ids = torch.tensor([prompt + response], device=device)
        hidden_TH = model.base_model(input_ids=input_ids, use_cache=False).last_hidden_state[0, len(prompt) - 1 : -1]
        target_T = input_ids[0, len(prompt) :]
        sums = gradient_features(
            hidden_TH, head.weight, target_T, torch.zeros_like(target_T), 1, bias=head.bias, temperature=temperature
        )
        features.append(sums.features[0].cpu())
    return torch.stack(features)


def pairs_of(problems: Sequence[str], features_NH: Tensor, embeddings_NE: Tensor) -> Pairs:
    """Both cosines of every pair; rows are ordered by problem, K samples each."""
    num_samples = len(features_NH) // len(problems)
    first, second = np.triu_indices(num_samples, k=1)
    return Pairs(
        list(problems),
        first,
        second,
        _cosines(features_NH, num_samples)[:, first, second],
        _cosines(embeddings_NE, num_samples)[:, first, second],
    )


def summary(pairs: Pairs, *, seed: int = 0) -> dict[str, Any]:
    """Means over all pairs, and 95 % intervals from a bootstrap over problems (pairs of one problem hang together).

    Raises:
        ValueError: there is no pair of features with a direction.
    """
    negative = np.where(np.isnan(pairs.gradient), np.nan, pairs.gradient < 0)
    if np.isnan(pairs.gradient).all():
        raise ValueError("no two responses to one problem have a gradient feature; take a higher --temperature.")
    values = {
        "mean_gradient_cosine": pairs.gradient,
        "negative_share": negative,
        "mean_semantic_cosine": pairs.semantic,
    }
    result: dict[str, Any] = {
        "num_problems": len(pairs.problems),
        "num_pairs": int(pairs.gradient.size),
        "pairs_without_direction": int(np.isnan(pairs.gradient).sum()),
    }
    for name, values_PR in values.items():
        of_problem_P = np.array([np.nanmean(row) for row in values_PR if not np.isnan(row).all()])
        low, high = bootstrap_interval(of_problem_P, seed=seed)
        result[name] = {"mean": float(np.nanmean(values_PR)), "low": float(low), "high": float(high)}
    return result


def geometry_table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: our models with 95 % intervals, then the published numbers."""
    rows = [["model", "mean gradient cosine", "negative pairs (%)", "mean semantic cosine"]]
    scales = {"mean_gradient_cosine": (1, 3), "negative_share": (100, 2), "mean_semantic_cosine": (1, 3)}
    for label, numbers in summaries.items():
        cells = []
        for name, (scale, digits) in scales.items():
            mean, low, high = (f"{scale * numbers[name][part]:.{digits}f}" for part in ("mean", "low", "high"))
            cells.append(f"{mean} [{low}, {high}]")
        rows.append([label, *cells])
    for method in ("grpo", "evol", "g2rl"):
        values = {name: PUBLISHED[name].get(method) for name in scales}
        cells = [f"{scales[n][0] * v:.{scales[n][1]}f}" if v is not None else "" for n, v in values.items()]
        rows.append([f"{method} (arXiv:2512.15687, aime25)", *cells])
    return markdown_table(rows)


def write_pairs(pairs: Mapping[str, Pairs], path: Path) -> None:
    """The raw data of the pictures: one line a pair."""
    with atomic_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "problem", "first_sample", "second_sample", "gradient_cosine", "semantic_cosine"])
        for label, of_model in pairs.items():
            for p, problem in enumerate(of_model.problems):
                for r, (first, second) in enumerate(zip(of_model.first, of_model.second, strict=True)):
                    writer.writerow([label, problem, first, second, of_model.gradient[p, r], of_model.semantic[p, r]])


def _cosines(vectors_NH: Tensor, num_samples: int) -> np.ndarray:
    """[P, K, K] cosines within each problem; NaN in the rows and columns of vectors without a direction."""
    num_problems = len(vectors_NH) // num_samples
    cosines_PKK = np.full((num_problems, num_samples, num_samples), np.nan)
    group_ids_N = torch.arange(num_problems).repeat_interleave(num_samples)
    for rows_GM, cosines_GMM in group_cosines(vectors_NH, group_ids_N):
        problem_G11 = (rows_GM[:, :1, None] // num_samples).numpy()
        sample_GM = (rows_GM % num_samples).numpy()
        cosines_PKK[problem_G11, sample_GM[:, :, None], sample_GM[:, None, :]] = cosines_GMM.numpy()
    return cosines_PKK
