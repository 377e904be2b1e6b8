"""Task `room` in the study's tables: before and after training, and which problems were gained and lost.

Shape suffix: P problems.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from g2rl.evaluation.metrics import pass_at_k
from g2rl.lab.statistics import paired, shown_difference, spread
from g2rl.utils.markdown import markdown_table

K = 64
LONGER = "longer"  # the harder kind of problems
MEASURES = ("pass@1", "pass@64", "pass@64 of longer problems")
PAIRS = [
    *((name, "grpo") for name in ("g2rl", "weighted", "maxrl", "passk")),
    ("g2rl", "g2rl-placebo"),
    ("weighted", "maxrl"),
]


@dataclass(frozen=True)
class RoomRun:
    """right: step -> samples that are right [P], of `samples` each; the first step is 0, the last one the end."""

    setting: str
    seed: int
    samples: int
    kinds: Sequence[str]
    right: dict[int, np.ndarray]

    @property
    def evaluations(self) -> dict[int, dict[str, float]]:
        return {step: self.measures(step) for step in sorted(self.right)}

    def measures(self, step: int) -> dict[str, float]:
        right_P = self.right[step]
        passed_P = np.array([pass_at_k(self.samples, int(right), K) for right in right_P])
        longer_P = np.array(self.kinds) == LONGER
        return dict(
            zip(MEASURES, (right_P.mean() / self.samples, passed_P.mean(), passed_P[longer_P].mean()), strict=True)
        )

    @property
    def end(self) -> int:
        return max(self.right)


def read(folder: Path, seeds: Collection[int]) -> list[RoomRun]:
    found = []
    for path in sorted((folder / "runs").glob("room-*.json.gz")):
        record = json.loads(gzip.decompress(path.read_bytes()))
        if record["seed"] in seeds:
            right = {
                int(step): np.array([sum(outcome >= 0 for outcome in row) for row in rows])
                for step, rows in record["outcomes"].items()
            }
            samples = len(next(iter(record["outcomes"].values()))[0])
            found.append(RoomRun(record["setting"], record["seed"], samples, record["kinds"], right))
    return found


def by_setting(runs: Sequence[RoomRun]) -> dict[str, list[RoomRun]]:
    groups: dict[str, list[RoomRun]] = defaultdict(list)
    for run in runs:
        groups[run.setting.removeprefix("room-")].append(run)
    return groups


def table(runs: Sequence[RoomRun]) -> str:
    """A line for each setting; before training all are the same but for the samples' seeds."""
    start = [run.measures(0) for run in runs]
    rows = [
        ["setting", "seeds", *(f"{name}, %" for name in MEASURES), "gained", "lost", "pass@64, start to end, points"]
    ]
    rows.append(["before training", "", *(spread([one[name] for one in start], True) for name in MEASURES), "", "", ""])
    for name, group in by_setting(runs).items():
        ends = [run.measures(run.end) for run in group]
        gained = np.mean([((run.right[0] == 0) & (run.right[run.end] > 0)).sum() for run in group])
        lost = np.mean([((run.right[0] > 0) & (run.right[run.end] == 0)).sum() for run in group])
        before = {run.seed: 100 * run.measures(0)["pass@64"] for run in group}
        after = {run.seed: 100 * run.measures(run.end)["pass@64"] for run in group}
        rows.append(
            [
                name,
                str(len(group)),
                *(spread([one[measure] for one in ends], True) for measure in MEASURES),
                f"{gained:.1f}",
                f"{lost:.1f}",
                shown_difference(*paired(after, before)),
            ]
        )
    return markdown_table(rows)


def table_of_differences(runs: Sequence[RoomRun]) -> str:
    """Between settings, at the end, in points; paired by seed."""
    groups = by_setting(runs)
    rows = [["difference", *(f"{name}, points" for name in MEASURES)]]
    for one, other in PAIRS:
        if one in groups and other in groups:
            cells = []
            for measure in MEASURES:
                ends = [
                    {run.seed: 100 * run.measures(run.end)[measure] for run in groups[name]} for name in (one, other)
                ]
                cells.append(shown_difference(*paired(*ends)))
            rows.append([f"{one} − {other}", *cells])
    return markdown_table(rows)
