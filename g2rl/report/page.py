"""One self-contained HTML page: pictures inside it, no script, nothing to fetch from anywhere."""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from g2rl.evaluation.compare import comparison_rows
from g2rl.files import atomic_file
from g2rl.report.runs import Run
from g2rl.report.single import summary_table

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
img { max-width: 100%; }
table { border-collapse: collapse; font-size: 14px; }
th, td { padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; }
figcaption { color: #555; }
"""


def write_page(groups: Mapping[str, Sequence[Run]], pictures: Sequence[tuple[Path, str]], path: Path) -> None:
    """Write the page.

    Args:
        pictures: PNG files and their captions.
    """
    runs = [run for of_label in groups.values() for run in of_label]
    parts = [f"<p>{len(runs)} runs: {html.escape(', '.join(f'{k} ({len(v)})' for k, v in groups.items()))}</p>"]
    for picture, caption in pictures:
        data = base64.b64encode(picture.read_bytes()).decode()
        parts.append(
            f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    results = [(run.label, result) for run in runs for result in run.results]
    if results:
        parts += ["<h2>Evaluation</h2>", _table(*comparison_rows(results))]
    for run in runs:
        if run.metrics:
            table = html.escape(summary_table(run.folder / "metrics.jsonl"))
            parts.append(f"<h2>{html.escape(run.label)}: {html.escape(str(run.folder))}</h2><pre>{table}</pre>")
    body = "\n".join(parts)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Report</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>Report</h1>\n{body}\n</body></html>\n"
    )
    with atomic_file(path) as temporary:
        temporary.write_text(page)


def _table(columns: Sequence[str], rows: Sequence) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("benchmark", "run", *columns))
    lines = []
    for row in rows:
        cells = [row.benchmark, row.name, *(row.cells.get(column, "") for column in columns)]
        lines.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    return f"<table><tr>{head}</tr>\n" + "\n".join(lines) + "</table>"
