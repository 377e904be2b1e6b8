"""Training curves of several runs, a line a label and a band over its seeds, and pass@k over k."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from g2rl.report.runs import Run, Series
from g2rl.report.style import figure, label_colors, legend, save

COLUMNS = 3

TITLES = {
    "reward/pass_rate": "training pass rate",
    "critic/score/mean": "training reward",
    "response_length/mean": "response length (tokens)",
    "actor/entropy": "entropy (nats a token)",
    "exploration/cosine_mean": "mean cosine of the features in a group",
    "exploration/negative_pair_share": "pairs with negative cosine",
    "exploration/score_mean": "exploration score, mean",
    "exploration/score_std": "exploration score, deviation",
    "exploration/shaped_reward_min": "shaped reward, lowest",
    "exploration/shaped_reward_mean": "shaped reward, mean",
    "exploration/shaped_reward_max": "shaped reward, highest",
    "exploration/clipped_share": "rewards clipped",
    "exploration/uniform_group_share": "groups all right or all wrong",
    "exploration/invalid_features": "responses without direction",
    "exploration/advantage_shift_mean": "shift of the advantage, mean",
    "exploration/response_confidence_mean": "confidence in the response, mean",
    "exploration/prompt_confidence_mean": "confidence in the prompt, mean",
    "timing_s/step": "time a step (s)",
}
SHARES = re.compile(r"(pass_rate|_share|(pass|maj)@\d+)$")  # shown in per cent
FIRST = ("reward/pass_rate", "critic/score/mean", "response_length/mean", "actor/entropy")
LAST = ("timing_s/step",)


def curve_metrics(runs: Sequence[Run]) -> list[str]:
    """The metrics to draw, of those that some run has: accuracy, length, entropy, exploration, step time."""
    names = {name for run in runs for name in run.metrics}
    validation = sorted(name for name in names if re.fullmatch(r"val/.+/pass@1", name))
    return [*validation, *training_metrics(names)]


def training_metrics(names: Collection[str]) -> list[str]:
    """Those of the names that say how training went, in the order of `TITLES`; exploration metrics of any name."""
    unknown = sorted(name for name in names if name.startswith("exploration/") and name not in TITLES)
    order = [*(name for name in TITLES if name not in LAST), *unknown, *LAST]
    return [name for name in order if name in names]


def plot_curves(groups: Mapping[str, Sequence[Run]], path: Path) -> bool:
    """Draw all curves into one PNG; False where there is nothing to draw."""
    metrics = curve_metrics([run for runs in groups.values() for run in runs])
    if not metrics:
        return False
    colors = label_colors(list(groups))
    with figure(-(-len(metrics) // COLUMNS), COLUMNS) as (fig, panels):
        for ax, metric in zip(panels, metrics, strict=False):
            for label, runs in groups.items():
                series = [run.metrics[metric] for run in runs if metric in run.metrics]
                if series:
                    draw_series(ax, series, colors[label])
            finish_panel(ax, metric)
        for ax in panels[len(metrics) :]:
            ax.set_axis_off()
        legend(fig, _names({label: runs for label, runs in groups.items() if any(r.metrics for r in runs)}), colors)
        save(fig, path)
    return True


def draw_series(ax: Axes, series: Sequence[Series], color: str, label: str | None = None) -> None:
    """The mean over seeds at the steps that all of them have; the band reaches from the lowest to the highest."""
    steps = sorted(set.intersection(*(set(one) for one in series)))
    if not steps:
        return
    values = np.array([[one[step] for step in steps] for one in series])
    ax.plot(steps, values.mean(axis=0), color=color, label=label, marker="." if len(steps) < 15 else None)
    if len(series) > 1:
        ax.fill_between(steps, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, linewidth=0)


def _names(groups: Mapping[str, Sequence[Run]]) -> dict[str, str]:
    return {label: f"{label} ({len(runs)} seeds)" if len(runs) > 1 else label for label, runs in groups.items()}


def finish_panel(ax: Axes, metric: str, title: str | None = None) -> None:
    ax.set(title=title or TITLES.get(metric, metric.replace("val/", "validation: ", 1)), xlabel="step")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if SHARES.search(metric):
        ax.yaxis.set_major_formatter(PercentFormatter(xmax=1))


def plot_pass_at_k(groups: Mapping[str, Sequence[Run]], path: Path) -> bool:
    """pass@k over k, a panel for each benchmark; False where no run has it.

    From an evaluation's result where a run has one for the benchmark, otherwise from its last validation. The band is
    the range over seeds, or the 95 % interval of a single evaluation.
    """
    curves = {label: [pass_at_k_curves(run) for run in runs] for label, runs in groups.items()}
    benchmarks = sorted({name for of_label in curves.values() for of_run in of_label for name in of_run})
    if not benchmarks:
        return False
    colors = label_colors(list(groups))
    columns = min(COLUMNS, len(benchmarks))
    with figure(-(-len(benchmarks) // columns), columns, height=3) as (fig, panels):
        for ax, benchmark in zip(panels, benchmarks, strict=False):
            for label, of_label in curves.items():
                of_seeds = [of_run[benchmark] for of_run in of_label if benchmark in of_run]
                if not of_seeds:
                    continue
                ks = sorted(set.intersection(*(set(one) for one in of_seeds)))
                values = np.array([[one[k] for k in ks] for one in of_seeds])  # [seeds, k, (mean, low, high)]
                ax.plot(ks, values[:, :, 0].mean(axis=0), marker="o", markersize=3, color=colors[label])
                low = values[:, :, 0].min(axis=0) if len(of_seeds) > 1 else values[0, :, 1]
                high = values[:, :, 0].max(axis=0) if len(of_seeds) > 1 else values[0, :, 2]
                ax.fill_between(ks, low, high, color=colors[label], alpha=0.15, linewidth=0)
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_major_formatter(PercentFormatter(xmax=1))
            ax.set(title=f"pass@k: {benchmark}", xlabel="k")
        for ax in panels[len(benchmarks) :]:
            ax.set_axis_off()
        legend(fig, _names({label: groups[label] for label, of_label in curves.items() if any(of_label)}), colors)
        save(fig, path)
    return True


def pass_at_k_curves(run: Run) -> dict[str, dict[int, tuple[float, float, float]]]:
    """Benchmark -> k -> (pass@k, low, high) of one run; low and high are pass@k itself where no interval is known."""
    curves: dict[str, dict[int, tuple[float, float, float]]] = {}
    for name, series in run.metrics.items():
        if match := re.fullmatch(r"val/(.+)/pass@(\d+)", name):
            last = series[max(series)]
            curves.setdefault(match[1], {})[int(match[2])] = (last, last, last)
    for result in run.results:
        curves[result["settings"]["benchmark"]] = {
            int(name.removeprefix("pass@")): (value["mean"], value["low"], value["high"])
            for name, value in result["metrics"].items()
            if name.startswith("pass@")
        }
    return {benchmark: dict(sorted(curve.items())) for benchmark, curve in curves.items()}
