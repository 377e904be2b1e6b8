"""Tables of training runs, each number at its start and at its end."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from g2rl.report.runs import Run, read_metrics
from g2rl.report.single import metric_title, shown, start_and_end
from g2rl.utils.markdown import Rows, markdown_table


def summary_table(metrics_path: Path | str) -> str:
    """A Markdown table of one run."""
    ends = start_and_end(read_metrics(Path(metrics_path)))
    rows = [[metric_title(name), shown(name, start), shown(name, end)] for name, (start, end) in ends.items()]
    return markdown_table([["metric", "start", "end"], *rows])


def training_rows(groups: Mapping[str, Sequence[Run]]) -> Rows:
    """A row a metric and a column a label: means over seeds, and the range of the end over seeds.

    Only of runs that trained; empty where none did.
    """
    ends = {label: [start_and_end(run.metrics) for run in runs if run.metrics] for label, runs in groups.items()}
    ends = {label: of_label for label, of_label in ends.items() if of_label}
    names = list(dict.fromkeys(name for of_label in ends.values() for of_run in of_label for name in of_run))
    rows = [["metric", *ends]] if ends else []
    for name in names:
        pairs = [[of_run[name] for of_run in of_label if name in of_run] for of_label in ends.values()]
        rows.append([metric_title(name), *(_change(name, of_label) for of_label in pairs)])
    return rows


def _change(name: str, pairs: Sequence[tuple[float, float]]) -> str:
    if not pairs:
        return ""
    starts, ends = zip(*pairs, strict=True)
    text = f"{shown(name, sum(starts) / len(starts))} → {shown(name, sum(ends) / len(ends))}"
    return text + (f" [{shown(name, min(ends))}, {shown(name, max(ends))}]" if len(pairs) > 1 else "")
