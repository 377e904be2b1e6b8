"""A file of the user's own programming problems, every row checked before a run is started on it."""

import os
from pathlib import Path

from tqdm import tqdm

from g2rl.data.code_problems import to_code_record
from g2rl.data.reading import Row, read_file
from g2rl.data.records import Record
from g2rl.verify.code import CodePool


def read_code_jsonl(source: Path, max_tests: int | None, *, run_solutions: bool) -> list[Record]:
    """The problems of a file whose rows are as `g2rl.data.code_problems` says.

    Raises:
        ValueError: a row is not as it should be, or (with `run_solutions`) its `solution` does not pass its tests;
            names the row, counted from 0.
    """
    rows, records = read_file(source), []
    for number, row in enumerate(rows):
        try:
            records.append(to_code_record(row, max_tests))
        except ValueError as error:
            raise ValueError(f"{source}, row {number}: {error}.") from None
    if not records:
        raise ValueError(f"{source} holds no problem.")
    if run_solutions:
        _run_solutions(rows, records, source)
    return records


def _run_solutions(rows: list[Row], records: list[Record], source: Path) -> None:
    given = [number for number, row in enumerate(rows) if row.get("solution")]
    if not given:
        return
    with CodePool(num_workers=os.cpu_count() or 1) as pool:
        verdicts = {n: pool.submit(f"```python\n{rows[n]['solution']}\n```", records[n].answer) for n in given}
        progress = tqdm(verdicts.items(), desc="running the solutions", unit=" problems", disable=None)
        failing = {number: verdict for number, future in progress if not (verdict := future.result()).correct}
    if failing:
        first = next(iter(failing))
        raise ValueError(
            f"{source}: the solutions of rows {', '.join(map(str, failing))} do not pass their tests "
            f"(row {first}: {failing[first].failure or 'wrong'}). Mend or remove them, or skip this with --no-check."
        )
