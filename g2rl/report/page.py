"""One self-contained HTML page: pictures inside it, no script, nothing to fetch from anywhere."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.image import imread

from g2rl.evaluation.compare import comparison_rows, decoding_differences
from g2rl.report.runs import Run
from g2rl.report.single import WINDOW
from g2rl.report.table import training_rows
from g2rl.utils.files import atomic_file
from g2rl.utils.markdown import Rows

PIXEL_RATIO = 1.4  # pixels of a picture for each of the page's, so that its letters are as large as the text's

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1.5rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
figure { margin: 1.5rem 0; } img { max-width: 100%; }
figcaption, .note { color: #555; font-size: 14px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .9rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #888; }
.text { text-align: left; }
tr.ours td { font-weight: 600; }
"""


def write_page(groups: Mapping[str, Sequence[Run]], pictures: Sequence[tuple[Path, str]], path: Path) -> None:
    """Write the page.

    Args:
        pictures: PNG files and their captions.
    """
    parts = []
    for picture, caption in pictures:
        data = base64.b64encode(picture.read_bytes()).decode()
        width = round(imread(picture).shape[1] / PIXEL_RATIO)
        parts.append(
            f'<figure><img alt="{html.escape(caption)}" width="{width}" src="data:image/png;base64,{data}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    runs = [run for of_label in groups.values() for run in of_label]
    if results := [(run.label, result) for run in runs for result in run.results]:
        parts += ["<h2>Evaluation</h2>", _evaluation(results)]
    if rows := training_rows(groups):
        parts += ["<h2>Training, from start to end</h2>", _training(rows)]
    folders = "".join(_row([(label, True), (str(run.folder), True)]) for label, v in groups.items() for run in v)
    parts.append(f"<h2>Runs</h2>\n<table>{folders}</table>")
    title, body = html.escape(f"Report: {', '.join(groups)}"), "\n".join(parts)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )
    with atomic_file(path) as temporary:
        temporary.write_text(page)


def _evaluation(results: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Our numbers and the published ones, and the decoding settings in which they differ."""
    columns, rows = comparison_rows(results)
    lines = [_row([("benchmark", True), ("run", True), *((name, False) for name in columns)], "th")]
    ours = {label for label, _ in results}
    for row in rows:
        cells = [(row.benchmark, True), (row.name, True), *((row.cells.get(column, ""), False) for column in columns)]
        lines.append(_row(cells, css="ours" if row.name in ours else ""))
    differences = "".join(f"<li>{html.escape(line)}</li>" for line in decoding_differences(results))
    note = "In per cent, with 95 % intervals over problems. In bold what was measured here."
    return _table(lines, note) + f'<ul class="note">{differences}</ul>'


def _training(rows: Rows) -> str:
    cells = [[(row[0], True), *((cell, False) for cell in row[1:])] for row in rows]
    lines = [_row(cells[0], "th"), *map(_row, cells[1:])]
    note = f"Validation: the first and the last; training: means over the first and the last {WINDOW} steps. "
    note += "Means over seeds; in brackets the lowest and the highest seed at the end."
    return _table(lines, note)


def _table(lines: Sequence[str], note: str) -> str:
    return f'<div class="wide"><table>{"".join(lines)}</table></div><p class="note">{note}</p>'


def _row(cells: Iterable[tuple[str, bool]], tag: str = "td", css: str = "") -> str:
    """A table row of (content, is it text rather than a number)."""
    inner = "".join(f"<{tag}{' class=text' if text else ''}>{html.escape(cell)}</{tag}>" for cell, text in cells)
    return f'<tr class="{css}">{inner}</tr>\n'
