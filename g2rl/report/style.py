"""One look for all pictures: colours that people with any colour vision can tell apart, fixed for the methods."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from g2rl.utils.files import atomic_file

# The palette of Okabe and Ito (2008).
METHOD_COLORS = {"grpo": "#000000", "entropy": "#56B4E9", "evol": "#009E73", "g2rl": "#D55E00", "progrpo": "#CC79A7"}
OTHER_COLORS = ("#0072B2", "#E69F00", "#999999", "#882255", "#44AA99", "#DDCC77")

_RC: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "g2rl",  # the same picture gives the same file
}


def label_colors(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each label; a method's name always has its own. From the twelfth label on they repeat."""
    own = {label: METHOD_COLORS[label.lower()] for label in labels if label.lower() in METHOD_COLORS}
    others = cycle(color for color in (*OTHER_COLORS, *METHOD_COLORS.values()) if color not in own.values())
    return {label: own.get(label) or next(others) for label in labels}


@contextmanager
def figure(rows: int, columns: int, *, width: float = 3.4, height: float = 2.6) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yields a figure and its panels, row by row; `width` and `height` of a panel in inches."""
    with matplotlib.rc_context(_RC):
        fig = Figure(figsize=(columns * width, rows * height), layout="constrained")
        fig.get_layout_engine().set(h_pad=0.08, w_pad=0.08)  # type: ignore[union-attr, call-arg]
        yield fig, list(fig.subplots(rows, columns, squeeze=False).flat)


def legend(fig: Figure, names: Mapping[str, str], colors: Mapping[str, str]) -> None:
    """One legend above all panels: label -> the name it is shown with."""
    lines = [Line2D([], [], color=colors[label], label=name) for label, name in names.items()]
    fig.legend(handles=lines, loc="outside upper center", ncols=min(len(lines), 5))


def save(fig: Figure, path: Path) -> None:
    """Write the figure whole or not at all; the suffix says the format."""
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with atomic_file(path) as temporary:
        fig.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=metadata)
