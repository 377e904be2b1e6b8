"""Reads what training runs and evaluations leave behind, and sets runs of the same label together."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from g2rl.evaluation.compare import read_result, split_label

METRICS_FILE = "metrics.jsonl"

Series = dict[int, float]
"""step -> value"""


@dataclass(frozen=True)
class Run:
    label: str  # runs of one label are seeds of the same thing
    folder: Path
    metrics: dict[str, Series] = field(default_factory=dict)
    results: list[dict[str, Any]] = field(default_factory=list)  # of evaluations, see g2rl.evaluation


def read_metrics(path: Path) -> dict[str, Series]:
    """Metric -> step -> value, from lines `{"step": n, "data": {name: value}}` as verl's file logger writes them.

    A run that was resumed may have logged a step twice: the later value counts. A line that a kill has cut off is
    skipped, and so are values that are no numbers.
    """
    metrics: dict[str, Series] = defaultdict(dict)
    with path.open(errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            for name, value in record["data"].items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    metrics[name][record["step"]] = float(value)
    return {name: dict(sorted(series.items())) for name, series in metrics.items()}


def load_run(argument: str) -> Run:
    """A run from FOLDER or LABEL=FOLDER; the label is otherwise the folder's name without a seed at its end.

    Raises:
        ValueError: the folder has neither `metrics.jsonl` nor a `result.json` in it, or a result that is cut off.
    """
    label, folder = split_label(argument)
    metrics_path = folder / METRICS_FILE
    result_paths = sorted(folder.glob("**/result.json"))
    if not metrics_path.is_file() and not result_paths:
        raise ValueError(f"{folder} is no run: it has neither {METRICS_FILE} nor the result.json of an evaluation.")
    return Run(
        label or label_of(folder),
        folder,
        read_metrics(metrics_path) if metrics_path.is_file() else {},
        [read_result(path) for path in result_paths],
    )


def label_of(folder: Path) -> str:
    """`g2rl` for `runs/g2rl_seed1`, `runs/g2rl-seed-2` and `runs/g2rl/seed3`."""
    folder = folder.resolve()
    if folder.name == "evaluation":  # of a run, as scripts/reproduce_paper.sh leaves it
        folder = folder.parent
    name = re.sub(r"[-_.]?seed[-_=]?\d+$", "", folder.name)
    return name or folder.parent.name


def by_label(runs: Sequence[Run]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    return groups
