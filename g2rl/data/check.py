"""Is a file of verl's rows fit to train on? Asked before a run starts, since verl finds out at the first bad row."""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from g2rl.data.tests_files import file_name

_TESTS_OF_VERL = re.compile(r'\s*\{\s*"(inputs|outputs|fn_name)"')


@dataclass(frozen=True)
class CheckedRows:
    """unreadable: data source -> a sentence on its first ground truth that this project's verifiers cannot read."""

    count: int
    data_sources: set[str]
    unreadable: dict[str, str]


def ground_truth_text(value: Any) -> str:
    """The answer that a row of the data holds: a number in its decimal form, the element of a list of one, or text.

    Raises:
        ValueError: NaN or an infinity, nothing, or what has more than one value; says which in a few words.
    """
    if isinstance(value, list | tuple) and len(value) == 1:
        return ground_truth_text(value[0])
    if isinstance(value, bool | str):
        if not str(value).strip():
            raise ValueError("an empty text")
        return str(value)
    if isinstance(value, int | float | Decimal):
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if not number.is_finite():
            raise ValueError(f"the number {value}")
        return format(number, "f")
    if value is None or value in ([], {}):
        raise ValueError("null" if value is None else "empty")
    raise ValueError(f"a {type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else repr(value))


def read_rows(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The rows of a file of verl's, or some of their columns: parquet, or JSON as its dataset reads it.

    Raises:
        ValueError: the file cannot be read.
    """
    if path.suffix in (".json", ".jsonl"):
        import datasets  # here: a second of importing that parquet does without

        try:
            rows = datasets.load_dataset("json", data_files=str(path))["train"].with_format("arrow")[:]
            return rows if columns is None else rows.select(columns)
        except (OSError, datasets.exceptions.DatasetGenerationError) as error:
            raise ValueError(f"{path} is not a readable JSON file: {error.__cause__ or error}.") from None
    try:
        return pq.read_table(path, columns=columns)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a readable parquet file: {error}.") from None


def check_rows(path: Path, prompt_key: str = "prompt", *, judged_by_rows: bool = True) -> CheckedRows:
    """Count the rows of a file of verl's and collect its data sources.

    prompt_key: the column of the prompts, verl's `data.prompt_key`.
    judged_by_rows: the reward looks at data source and ground truth; a reward model, for one, does not.

    Raises:
        ValueError: the file cannot be read, has no row, or a row lacks its data source, prompt or ground truth (null,
            NaN and empty text are none) or the file of its tests; names the file and the row (counted from 0).
    """
    table = read_rows(path)
    for column in ("data_source", prompt_key, "reward_model") if judged_by_rows else (prompt_key,):
        if column not in table.column_names:
            raise ValueError(f"{path} has no column {column!r}; it has {', '.join(table.column_names)}.")
    if not table.num_rows:
        raise ValueError(f"{path} has no row.")
    sources: set[str] = set()
    unreadable: dict[str, str] = {}
    columns = ["data_source", prompt_key, "reward_model", "extra_info"]
    rows = table.select([name for name in columns if name in table.column_names]).to_pylist()
    for number, row in enumerate(rows):
        prompt = row[prompt_key] if isinstance(row[prompt_key], list) else []
        written = prompt and all(message.get("content") for message in prompt)
        fields = {f"{prompt_key} (a list of messages with role and content)": written}
        if judged_by_rows:
            fields["data_source"] = row["data_source"]
        for field, value in fields.items():
            if not value:
                raise ValueError(f"{path}, row {number}: no {field}.")
        if not isinstance(index := (row.get("extra_info") or {}).get("index"), Hashable):
            raise ValueError(f"{path}, row {number}: extra_info.index is {index!r}; use a number or a text, or none.")
        if not judged_by_rows:
            continue
        answer = (row["reward_model"] or {}).get("ground_truth")
        try:
            ground_truth_text(answer)
        except ValueError as error:
            several = (isinstance(answer, dict) and answer) or (isinstance(answer, list) and len(answer) > 1)
            if not several:
                raise ValueError(
                    f"{path}, row {number}: no ground truth (reward_model.ground_truth is {error}); fill it in, or "
                    f"leave the row out."
                ) from None
            unreadable.setdefault(
                row["data_source"],
                f"{path}, row {number}: reward_model.ground_truth is {error}, and this project's verifiers compare "
                f"with one answer; name a function in reward.custom_reward_function.path.",
            )
        if _TESTS_OF_VERL.match(str(answer)):
            unreadable.setdefault(
                row["data_source"],
                f"{path}, row {number}: reward_model.ground_truth has tests in the form of verl's prime_code; prepare "
                f"the problems with `python -m g2rl.data code_jsonl`, or leave them to verl's scorers.",
            )
        tests = file_name(str(answer))
        if tests is not None and not (path.parent / tests).is_file():
            raise ValueError(
                f"{path}, row {number}: its tests, {path.parent / tests}, are missing; copy the folder tests along "
                "with the parquet file, or prepare it again with `python -m g2rl.data`."
            )
        sources.add(row["data_source"])
    return CheckedRows(table.num_rows, sources, unreadable)
