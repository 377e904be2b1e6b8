"""A file of the user's own problems, whose rows people write in several shapes, as records."""

from collections.abc import Mapping
from pathlib import Path

from g2rl.data.code_jsonl import read_code_jsonl
from g2rl.data.own_columns import recognise
from g2rl.data.reading import Row, read_file
from g2rl.data.records import Record, to_record, whole_answers


def read_own(source: Path, columns: Mapping[str, str] | None = None) -> tuple[str, list[Record]]:
    """(data source, records) of problems with one answer each; says on standard error which columns they are from.

    The data source is `choice` where every row has choices, else `math`.

    Raises:
        ValueError: a row is not as it should be; names it, counted from 0.
    """
    return _records(read_file(source), source, columns)


def read_any(source: Path, columns: Mapping[str, str] | None = None) -> tuple[str, list[Record]]:
    """The same, of programming problems too, whose rows have `tests`; their data source is `code`."""
    rows = read_file(source)
    if rows and "tests" in rows[0]:
        return "code", read_code_jsonl(source, None, run_solutions=False)
    return _records(rows, source, columns)


def _records(rows: list[Row], source: Path, columns: Mapping[str, str] | None) -> tuple[str, list[Record]]:
    rows = recognise(rows, str(source), columns)
    records = whole_answers([to_record(row, f"{source}, row {number}") for number, row in enumerate(rows)], str(source))
    return "choice" if all("num_choices" in record.extra for record in records) else "math", records
