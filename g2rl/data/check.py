"""Is a parquet file fit to train on? Asked before a run starts, since verl finds out at the first bad row."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from g2rl.data.tests_files import file_name


@dataclass(frozen=True)
class CheckedRows:
    count: int
    data_sources: set[str]


def check_rows(path: Path) -> CheckedRows:
    """Count the rows of a verl parquet file and collect its data sources.

    Raises:
        ValueError: the file cannot be read, has no row, or a row lacks its data source, prompt or ground truth, or the
            file of its tests; names the file and the row (counted from 0).
    """
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a readable parquet file: {error}.") from None
    for column in ("data_source", "prompt", "reward_model"):
        if column not in table.column_names:
            raise ValueError(f"{path} has no column {column!r}; it has {', '.join(table.column_names)}.")
    if not table.num_rows:
        raise ValueError(f"{path} has no row.")
    sources: set[str] = set()
    rows = table.select(["data_source", "prompt", "reward_model"]).to_pylist()
    for number, row in enumerate(rows):
        answer = (row["reward_model"] or {}).get("ground_truth")
        prompt = row["prompt"] if isinstance(row["prompt"], list) else []
        fields = {
            "data_source": row["data_source"],
            "prompt (a list of messages with role and content)": prompt and all(m.get("content") for m in prompt),
            "ground truth (reward_model.ground_truth)": answer,
        }
        for field, value in fields.items():
            if not value:
                raise ValueError(f"{path}, row {number}: no {field}.")
        tests = file_name(str(answer))
        if tests is not None and not (path.parent / tests).is_file():
            raise ValueError(
                f"{path}, row {number}: its tests, {path.parent / tests}, are missing; copy the folder tests along "
                "with the parquet file, or prepare it again with `python -m g2rl.data`."
            )
        sources.add(row["data_source"])
    return CheckedRows(table.num_rows, sources)
