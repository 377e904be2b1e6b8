"""Several runs and the published numbers in one table, and which decoding settings make them hard to compare."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from g2rl.utils.markdown import markdown_table

DECODING_SETTINGS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "num_samples",
    "seed",
    "dtype",
    "data_sha256",
    "chat_template_kwargs",
)

# What the papers say of their decoding, where it depends on the model for each. arXiv:2512.15687: section 4 and
# appendix A.2. The code results of arXiv:2602.05281 name the number of samples only.
PUBLISHED_DECODING: dict[str, dict[str, Any]] = {
    "arXiv:2512.15687": {"temperature": 0.8, "max_tokens": {"Qwen3-1.7B-Base": 8192, "Qwen3-4B-Base": 12288}},
    "arXiv:2602.05281": {},
}


@dataclass(frozen=True)
class Row:
    benchmark: str
    name: str
    cells: dict[str, str]  # metric -> percent, with its 95 % interval where it is ours


def load_results(runs: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """(label, result) of every `result.json` in the run folders, given as FOLDER or LABEL=FOLDER.

    Raises:
        ValueError: a folder has no result, or one that is cut off.
    """
    results = []
    for label, folder in map(labelled, runs):
        paths = [folder / "result.json"] if (folder / "result.json").exists() else sorted(folder.glob("*/result.json"))
        if not paths:
            raise ValueError(f"{folder} holds no result.json; run the evaluation there first.")
        results += [(label, read_result(path)) for path in paths]
    return results


def read_result(path: Path) -> dict[str, Any]:
    """
    Raises:
        ValueError: the file is cut off, or not JSON at all.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f"{path} is not whole ({error}); run the evaluation again, which writes it anew from its samples."
        ) from None


def split_label(argument: str) -> tuple[str, Path]:
    """Label and path of LABEL=PATH; of PATH, in whose folders there may be a "=", the label is ""."""
    label, equals, path = argument.partition("=")
    return (label, Path(path)) if equals and "/" not in label else ("", Path(argument))


def labelled(argument: str) -> tuple[str, Path]:
    """LABEL=PATH, or PATH with its name as label; a checkpoint's names its run too: `g2rl-global_step_30`."""
    label, path = split_label(argument)
    rooms = ("checkpoints", "actor", "huggingface", "evaluation")  # of a run's folder
    parts = [part for part in path.resolve().parts[1:] if part not in rooms]
    of_run = bool(parts) and parts[-1].startswith("global_step_")
    return label or "-".join(parts[-2:] if of_run else parts[-1:]) or "model", path


def published_results() -> list[dict[str, Any]]:
    """The numbers of the papers: source, model, method, benchmark, metric, percent (or value, of what is no share).

    A note says what is not known about a number.
    """
    return json.loads(files("g2rl.evaluation").joinpath("paper_results.json").read_text())


def comparison_rows(results: Sequence[tuple[str, dict[str, Any]]]) -> tuple[list[str], list[Row]]:
    """Metric columns and rows: for each benchmark our runs, then what is published for it."""
    order: list[str] = list(dict.fromkeys(result["settings"]["benchmark"] for _, result in results))
    published = [entry for entry in published_results() if entry["benchmark"] in order]
    wanted = {entry["metric"] for entry in published} | {"pass@1"}
    wanted |= {f"{kind}@{result['num_samples']}" for _, result in results for kind in ("pass", "maj")} - {"maj@1"}
    rows = []
    for benchmark in order:
        for label, result in results:
            if result["settings"]["benchmark"] == benchmark:
                cells = {m: _interval(v) for m, v in result["metrics"].items() if m in wanted}
                rows.append(Row(benchmark, label, cells))
        by_name: dict[str, dict[str, str]] = {}
        for entry in published:
            if entry["benchmark"] == benchmark:
                name = f"{entry['method']}, {entry['model']} ({entry['source']})"
                by_name.setdefault(name, {})[entry["metric"]] = str(entry.get("percent", entry.get("value")))
        rows += [Row(benchmark, name, cells) for name, cells in by_name.items()]
    used = {metric for row in rows for metric in row.cells}
    return sorted(used, key=_metric_order), rows


def markdown(columns: Sequence[str], rows: Sequence[Row]) -> str:
    cells = [[row.benchmark, row.name, *(row.cells.get(column, "") for column in columns)] for row in rows]
    return markdown_table([["benchmark", "run", *columns], *cells], text_columns=2)


def latex(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """A `tabular` for the package booktabs."""
    lines = [rf"\begin{{tabular}}{{ll{'r' * len(columns)}}}", r"\toprule"]
    lines += [" & ".join(["benchmark", "run", *columns]) + r" \\"]
    previous = None
    for row in rows:
        if row.benchmark != previous:
            lines.append(r"\midrule")
        shown = row.benchmark if row.benchmark != previous else ""
        cells = [_escape(shown), _escape(row.name), *(row.cells.get(column, "") for column in columns)]
        lines.append(" & ".join(cells) + r" \\")
        previous = row.benchmark
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def decoding_differences(results: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """One line for each decoding setting that differs between runs of a benchmark, or from the published ones."""
    lines = []
    for benchmark in dict.fromkeys(result["settings"]["benchmark"] for _, result in results):
        runs = [
            (label, result["settings"]) for label, result in results if result["settings"]["benchmark"] == benchmark
        ]
        for setting in DECODING_SETTINGS:
            if len({settings.get(setting) for _, settings in runs}) > 1:
                values = ", ".join(f"{label} {_short(setting, settings.get(setting))}" for label, settings in runs)
                lines.append(f"{benchmark}: {setting} differs between the runs: {values}.")
        published = [entry for entry in published_results() if entry["benchmark"] == benchmark]
        notes = {f"{entry['source']}: {entry['note']}" for entry in published if "note" in entry}
        lines += [f"{benchmark}: {note}." for note in sorted(notes)]
        sources = {entry["source"] for entry in published}
        for source in sorted(sources):
            stated = PUBLISHED_DECODING[source]
            for setting, value in stated.items():
                for model, number in (value if isinstance(value, dict) else {"": value}).items():
                    if unlike := [f"{label} {s[setting]}" for label, s in runs if s[setting] != number]:
                        theirs = f"{source} ({model})" if model else source
                        lines.append(f"{benchmark}: {setting} differs from {theirs}, {number}: {', '.join(unlike)}.")
            silent = [setting for setting in ("temperature", "top_p", "top_k", "max_tokens") if setting not in stated]
            lines.append(f"{benchmark}: {source} does not state {', '.join(silent)}, number of samples and seeds.")
    return lines


def _interval(value: dict[str, float]) -> str:
    return f"{100 * value['mean']:.1f} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def _metric_order(metric: str) -> tuple[bool, int, str]:
    kind, _, k = metric.partition("@")
    return metric != "pass@1", int(k or 0), kind


def _short(setting: str, value: Any) -> str:
    return str(value)[:12] if setting == "data_sha256" else str(value)


def _escape(text: str) -> str:
    return re.sub(r"([_&%#$])", r"\\\1", text)
