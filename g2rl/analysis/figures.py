"""The three panels of Figure 3 (arXiv 2512.15687): gradient cosines, share of negative pairs, semantic cosines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from g2rl.analysis.pairs import Pairs
from g2rl.report.style import figure, label_colors, save

NUM_BINS = 40


def plot_geometry(pairs: Mapping[str, Pairs], summaries: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the models named by the keys and save the picture as `path` with the suffixes .png and .svg."""
    colors = label_colors(list(pairs))
    with figure(1, 3, height=2.9) as (fig, (gradient, share, semantic)):
        _histogram(gradient, {label: p.gradient for label, p in pairs.items()}, colors)
        gradient.axvline(0, color="grey", linewidth=0.8)
        gradient.set(title="(a) gradient space", xlabel="cosine of the gradient features of a pair", ylabel="density")
        _shares(share, {label: summaries[label]["negative_share"] for label in pairs}, colors)
        share.set(title="(b) opposing directions", ylabel="pairs with negative cosine (%)")
        _histogram(semantic, {label: p.semantic for label, p in pairs.items()}, colors)
        semantic.set(title="(c) semantic space", xlabel="pairwise cosine of embeddings", ylabel="density")
        for suffix in (".png", ".svg"):
            save(fig, path.with_suffix(suffix))


def _histogram(ax: Axes, cosines: Mapping[str, np.ndarray], colors: Mapping[str, str]) -> None:
    """Densities over common bins, the mean of each model as a dashed line."""
    finite = {label: values[np.isfinite(values)] for label, values in cosines.items()}
    bins = np.linspace(min(values.min() for values in finite.values()), 1, NUM_BINS + 1).tolist()
    for label, values in finite.items():
        name, face = f"{label}, mean {values.mean():.3f}", to_rgba(colors[label], 0.2)
        edge = {"edgecolor": colors[label], "linewidth": 1.2}
        ax.hist(values, bins, density=True, histtype="stepfilled", label=name, facecolor=face, **edge)  # type: ignore[arg-type]
        ax.axvline(values.mean(), color=colors[label], linestyle="--", linewidth=1.2)
    ax.margins(y=0.25)  # room for the legend
    ax.legend(loc="upper left", handlelength=1.2, frameon=True, framealpha=0.9, edgecolor="none")


def _shares(ax: Axes, values: Mapping[str, Mapping[str, float]], colors: Mapping[str, str]) -> None:
    """A bar for each model with its 95 % interval, its value beside it."""
    means = np.array([100 * value["mean"] for value in values.values()])
    errors = np.abs([[100 * value[end] for value in values.values()] for end in ("low", "high")] - means)
    faces = [to_rgba(colors[label], 0.2) for label in values]
    edges = [colors[label] for label in values]
    bars = ax.bar(list(values), means, yerr=errors, color=faces, edgecolor=edges, linewidth=1.2, capsize=3, width=0.6)
    ax.bar_label(bars, [f"{mean:.1f}" for mean in means], padding=2)
    ax.set_axisbelow(True)
    ax.grid(axis="x", visible=False)
    ax.margins(y=0.12)
