"""The three panels of Figure 3 (arXiv 2512.15687): gradient cosines, share of negative pairs, semantic cosines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from g2rl.evaluation.geometry import Pairs
from g2rl.report.style import figure, label_colors, save

NUM_BINS = 40


def plot_geometry(pairs: Mapping[str, Pairs], summaries: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the models named by the keys and save the picture as `path` with the suffixes .png and .svg."""
    colors = label_colors(list(pairs))
    with figure(1, 3, height=2.9) as (fig, (gradient, share, semantic)):
        _histogram(gradient, {label: p.gradient for label, p in pairs.items()}, colors)
        gradient.axvline(0, color="grey", linewidth=0.8)
        gradient.set(title="gradient space", xlabel="pairwise cosine of $\\Phi$", ylabel="density")
        gradient.legend()
        values = [summaries[label]["negative_share"] for label in pairs]
        means = np.array([100 * value["mean"] for value in values])
        errors = np.abs([[100 * value[end] for value in values] for end in ("low", "high")] - means)
        share.bar(
            list(pairs), means, yerr=errors, color=[colors[label] for label in pairs], capsize=3, width=0.6, alpha=0.7
        )
        share.set(title="opposing directions", ylabel="pairs with negative cosine (%)")
        share.grid(axis="x", visible=False)
        _histogram(semantic, {label: p.semantic for label, p in pairs.items()}, colors)
        semantic.set(title="semantic space", xlabel="pairwise cosine of embeddings", ylabel="density")
        for suffix in (".png", ".svg"):
            save(fig, path.with_suffix(suffix))


def _histogram(ax: Axes, cosines: Mapping[str, np.ndarray], colors: Mapping[str, str]) -> None:
    """Densities over common bins, the mean of each model as a dashed line."""
    finite = {label: values[np.isfinite(values)] for label, values in cosines.items()}
    low = min(values.min() for values in finite.values())
    bins = np.linspace(low, 1, NUM_BINS + 1).tolist()
    for label, values in finite.items():
        ax.hist(values, bins=bins, density=True, histtype="stepfilled", alpha=0.25, color=colors[label])
        ax.hist(values, bins=bins, density=True, histtype="step", color=colors[label], label=label)
        ax.axvline(values.mean(), color=colors[label], linestyle="--", linewidth=1)
