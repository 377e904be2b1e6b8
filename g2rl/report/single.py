"""One training run: its picture, and its numbers at the start and at the end."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from g2rl.report.curves import COLUMNS, FIRST, LAST, SHARES, TITLES, draw_series, finish_panel, training_metrics
from g2rl.report.runs import Series, read_metrics
from g2rl.report.style import OTHER_COLORS, figure, save

WINDOW = 5  # training steps that a number "at the start" or "at the end" is the mean of
IN_PICTURE = ("exploration/cosine_mean", "exploration/negative_pair_share", "exploration/score_mean")
VALIDATION = re.compile(r"val/(.+)/((?:pass|maj)@\d+)")


def plot_run(metrics_path: Path | str, out_png: Path | str) -> None:
    """A picture of one run: validation accuracy, training pass rate and exploration metrics over steps."""
    metrics = read_metrics(Path(metrics_path))
    validation: dict[str, list[str]] = {}
    for name in metrics:
        if match := VALIDATION.fullmatch(name):
            validation.setdefault(match[1], []).append(match[2])
    others = [name for name in (*FIRST[:1], *IN_PICTURE, *FIRST[2:], *LAST) if name in metrics]
    count = len(validation) + len(others)
    if not count:
        return
    columns = min(COLUMNS, count)
    with figure(-(-count // columns), columns) as (fig, panels):
        for ax, (source, names) in zip(panels, validation.items(), strict=False):
            for name, color in zip(_first_and_last(names), OTHER_COLORS, strict=False):
                draw_series(ax, [metrics[f"val/{source}/{name}"]], color, name)
            finish_panel(ax, "pass@1", f"validation: {source}")
            ax.legend()
        for ax, name in zip(panels[len(validation) :], others, strict=False):
            draw_series(ax, [metrics[name]], OTHER_COLORS[0])
            finish_panel(ax, name)
        for ax in panels[count:]:
            ax.set_axis_off()
        save(fig, Path(out_png))


def start_and_end(metrics: Mapping[str, Series]) -> dict[str, tuple[float, float]]:
    """Metric -> its value at the start and at the end of a run.

    Validation: the first and the last one. Training: means over the first and the last `WINDOW` steps (half of the
    steps of a shorter run).
    """
    validation = sorted((name for name in metrics if VALIDATION.fullmatch(name)), key=_validation_order)
    result = {}
    for name in validation + training_metrics(metrics):
        values = list(metrics[name].values())
        window = 1 if name in validation else min(WINDOW, max(1, len(values) // 2))
        result[name] = (float(np.mean(values[:window])), float(np.mean(values[-window:])))
    return result


def metric_title(name: str) -> str:
    return TITLES.get(name, name.replace("val/", "validation ", 1))


def shown(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if SHARES.search(name) else f"{value:.4g}"


def _first_and_last(names: list[str]) -> list[str]:
    """pass@1, the largest pass@k and the largest maj@k."""
    ordered = sorted(names, key=lambda name: int(name.split("@")[1]))
    passes = [name for name in ordered if name.startswith("pass")]
    majorities = [name for name in ordered if name.startswith("maj")]
    return list(dict.fromkeys([*passes[:1], *passes[-1:], *majorities[-1:]]))


def _validation_order(name: str) -> tuple[str, bool, int]:
    source, _, metric = name.rpartition("/")
    return source, metric.startswith("maj"), int(metric.split("@")[1])
