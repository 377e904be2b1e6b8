"""A file of the user's own, in the shapes that people have, as records."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from g2rl.data.code_jsonl import read_code_jsonl
from g2rl.data.columns import recognise
from g2rl.data.prepare import Record, to_record, whole_answers
from g2rl.data.reading import read_file


def read_own(source: Path, columns: Mapping[str, str] | None = None) -> tuple[str, list[Record]]:
    """(data source, records) of problems with one answer each; says on standard error which columns they are from.

    The data source is `choice` where every row has choices, else `math`.

    Raises:
        ValueError: a row is not as it should be; names it, counted from 0.
    """
    return _records(read_file(source), source, columns)


def _records(rows: list[dict[str, Any]], source: Path, columns: Mapping[str, str] | None) -> tuple[str, list[Record]]:
    rows, line = recognise(rows, str(source), columns)
    print(f"{source}: {line}", file=sys.stderr)
    records = [to_record(row, f"{source}, row {number}") for number, row in enumerate(rows)]
    records, report = whole_answers(records)
    if report:
        print(f"{source}: {report}", file=sys.stderr)
    return "choice" if all("num_choices" in record.extra for record in records) else "math", records


def read_any(source: Path, columns: Mapping[str, str] | None = None) -> tuple[str, list[Record]]:
    """The same, of programming problems too, whose rows have `tests`; their data source is `code`."""
    rows = read_file(source)
    if rows and "tests" in rows[0]:
        return "code", read_code_jsonl(source, None, run_solutions=False)
    return _records(rows, source, columns)
