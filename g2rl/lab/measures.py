"""What the study measures on a run of docs/study/runs.

Shape suffix: P problems.
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from g2rl.evaluation.metrics import pass_at_k

MEASURES = ("pass@1", "pass@32", "derivations", "derivations of sums", "derivations of others")
LAST = 3  # validations whose mean is a run's end


@dataclass(frozen=True)
class Run:
    setting: str
    seed: int
    evaluations: dict[int, dict[str, float]]  # step -> measure -> value
    metrics: dict[str, list[list[float]]]


def read_run(path: Path) -> Run:
    record = json.loads(gzip.decompress(path.read_bytes()))
    evaluations = {int(step): measures(rows, record["kinds"]) for step, rows in record["outcomes"].items()}
    return Run(record["setting"], record["seed"], evaluations, record["metrics"])


def measures(outcomes: Sequence[Sequence[int]], kinds: Sequence[str]) -> dict[str, float]:
    """Of the samples' outcomes as `g2rl.lab.study.packed` numbers them: −1 wrong, 0 right without a derivation."""
    number = len(outcomes[0])
    rights = [sum(outcome >= 0 for outcome in row) for row in outcomes]
    ways_P = np.array([len({outcome for outcome in row if outcome > 0}) for row in outcomes])
    sums_P = np.array([kind == "sum" for kind in kinds])
    return {
        "pass@1": float(np.mean(rights)) / number,
        "pass@32": float(np.mean([pass_at_k(number, right, 32) for right in rights])),
        "derivations": float(ways_P.mean()),
        "derivations of sums": float(ways_P[sums_P].mean()),
        "derivations of others": float(ways_P[~sums_P].mean()),
    }


def end(run: Run, measure: str) -> float:
    """Mean over the last validations."""
    return float(np.mean([run.evaluations[step][measure] for step in sorted(run.evaluations)[-LAST:]]))


def crossings(run: Run, level: float, measure: str = "derivations of sums") -> list[float]:
    """The measure wherever pass@1 rises or falls through the level, interpolated between two validations."""
    found = []
    for before, after in pairwise(sorted(run.evaluations)):
        low, high = (run.evaluations[step]["pass@1"] for step in (before, after))
        if (low < level) != (high < level):
            first, second = (run.evaluations[step][measure] for step in (before, after))
            found.append(first + (level - low) / (high - low) * (second - first))
    return found


def at_accuracy(run: Run, level: float, measure: str = "derivations of sums") -> float | None:
    """The measure where pass@1 first reaches the level; None if it does not, or was there before training."""
    if run.evaluations[min(run.evaluations)]["pass@1"] >= level:
        return None
    return next(iter(crossings(run, level, measure)), None)


def at_level(runs: Sequence[Run], level: float) -> dict[int, float]:
    found = {run.seed: at_accuracy(run, level) for run in runs}
    return {seed: value for seed, value in found.items() if value is not None}
