"""Which responses of a step are right, and how far right and wrong lie apart in the user's own rewards.

Every reward of verl's counts: this project's verifiers, a reward function or reward manager of the user's, a reward
model. A response is right where its `acc`, or without one its score, is above `correct_above`. What a method adds is
measured in the gap between right and wrong, so that its settings mean the same for rewards of 0 and 1, of −1 and 1,
and of 0 and 1 with a bonus for the format.

Shape suffix: R responses.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def correct(infos: Sequence[Mapping[str, Any]], scores: Tensor, correct_above: float) -> Tensor:
    """[R] bool. `infos` are the responses' `reward_extra_info`, `scores` [R] their rewards."""
    marks = [float(info.get("acc", score)) for info, score in zip(infos, scores.tolist(), strict=True)]
    return torch.tensor(marks) > correct_above


def valid(infos: Sequence[Mapping[str, Any]]) -> Tensor:
    """[R] bool, false where the reward says that there is no final answer (`pred` is None or empty)."""
    return torch.tensor(["pred" not in info or answer(info["pred"]) is not None for info in infos])


def answer(pred: Any) -> str | None:
    """The final answer as text: a reward function of the user's may give a number."""
    return None if pred is None else str(pred) or None


def reward_gap(scores: Tensor, correct: Tensor) -> float | None:
    """The median reward of the right responses less that of the wrong ones; None where it is not positive.

    Args:
        scores: [R] rewards as the user's reward gives them; with medians a penalty for a few long ones does not count.
        correct: [R] bool.
    """
    if not correct.any() or correct.all():
        return None
    gap = (scores[correct].median() - scores[~correct].median()).item()
    return gap if gap > 0 else None


def reward_metrics(infos: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """A step's metrics from the `reward_extra_info` of its responses, as far as the reward gives them.

    `reward/ended_turn_share`: of the responses that ended with the chat template's end of turn, where that is another
    token than the tokenizer's end of text.
    `reward/timeouts`, `crashes`, `errors`, `truncated` and `no_answer` count responses by their `verdict` (with
    disaggregated rollout verl logs the mean over the `parameter_sync_step` batches of a step); `seconds_p50` and
    `seconds_p99` are of the time from a response's arrival at the reward worker to its verdict, waiting included.
    """
    infos = list(infos)
    verdicts = [info["verdict"] for info in infos if "verdict" in info]
    seconds = [info["verify_seconds"] for info in infos if "verify_seconds" in info]
    metrics: dict[str, float] = {}
    if verdicts:
        metrics = {
            "reward/timeouts": verdicts.count("timeout"),
            "reward/crashes": verdicts.count("crash"),
            "reward/errors": verdicts.count("error"),
            "reward/truncated": verdicts.count("truncated"),
            "reward/no_answer": verdicts.count("no_answer"),
        }
    if ended := [info["ended_turn"] for info in infos if "ended_turn" in info]:
        metrics["reward/ended_turn_share"] = float(np.mean(ended))
    if seconds:
        metrics["reward/seconds_p50"] = float(np.percentile(seconds, 50))
        metrics["reward/seconds_p99"] = float(np.percentile(seconds, 99))
    return metrics
