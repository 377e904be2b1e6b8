"""LiveCodeBench (arXiv 2403.07974): releases of growing size, of which a window of contest dates is a benchmark.

Release vN is the first N files on the hub. The window that DeepSeek-R1, DeepCoder, FlowRL and so ProGRPO report is
2024-08-01 <= date < 2025-02-01 of v5: 279 problems.
"""

import base64
import io
import json
import pickle
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from tqdm import tqdm

from g2rl.data.reading import Row, hub_file, json_lines, read_file

REPOSITORY = "livecodebench/code_generation_lite"
REVISION = "0fe84c3912ea0c4d4a78037083943e8f0c4dd505"
FILES = ("test.jsonl", *(f"test{number}.jsonl" for number in range(2, 7)))
RELEASES = tuple(f"v{number}" for number in range(1, len(FILES) + 1))


@dataclass(frozen=True)
class Window:
    """The problems of a release with start <= contest date < end."""

    release: str
    start: date
    end: date


PUBLISHED = Window("v5", date(2024, 8, 1), date(2025, 2, 1))
PUBLISHED_COUNT = 279


def read_window(source: Path | None, window: Window) -> Iterator[tuple[int, Row]]:
    """(number, row) of the problems of a window, from a local file or the hub's files.

    Raises:
        ValueError: there is no such release, a file cannot be read, or a row has no contest date.
    """
    if window.release not in RELEASES:
        raise ValueError(f"--release {window.release}: there are {', '.join(RELEASES)}.")
    if source is not None:
        rows = json_lines(source) if ".jsonl" in source.suffixes else iter(read_file(source))
    else:
        names = FILES[: RELEASES.index(window.release) + 1]
        rows = (row for name in names for row in json_lines(hub_file(REPOSITORY, REVISION, name)))
    for number, row in enumerate(tqdm(rows, desc="reading LiveCodeBench", unit=" problems", disable=None)):
        if window.start <= _date(row, number) < window.end:
            yield number, row


def _date(row: Row, number: int) -> date:
    try:
        return date.fromisoformat(str(row["contest_date"])[:10])
    except (KeyError, ValueError):
        raise ValueError(f"row {number}: no date in 'contest_date'; it has {', '.join(row)}.") from None


def convert(row: Row) -> Row:
    """A row of the hub as a row of `code_jsonl`: the public and the private tests together.

    Raises:
        KeyError: a column is missing.
        ValueError: the tests cannot be decoded.
    """
    function = json.loads(row["metadata"] or "{}").get("func_name")
    tests = json.loads(row["public_test_cases"]) + private_tests(row["private_test_cases"])
    return {
        "id": row["question_id"],
        "problem": row["question_content"],
        "starter_code": row["starter_code"],
        "subject": row["difficulty"],
        "function": function,
        "tests": [functional(test["input"], test["output"]) if function else test for test in tests],
    }


def functional(lines: str, output: str) -> dict[str, Any]:
    """A call written as LiveCodeBench writes it: one JSON value a line for the arguments, one for the result."""
    try:
        return {"args": [json.loads(line) for line in lines.split("\n")], "result": json.loads(output)}
    except ValueError:
        raise ValueError("a call whose arguments or result are not JSON") from None


class _DataOnly(pickle.Unpickler):
    """Reads numbers, texts and containers. A pickle that names a class or a function could run code, and is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"their pickle is not plain data, it names {module}.{name}")


def private_tests(text: str) -> list[dict[str, Any]]:
    """The private tests: JSON, or base64 of zlib of a pickle of JSON.

    Raises:
        ValueError: they are neither, or the pickle holds anything but plain data.
    """
    try:
        if text.lstrip().startswith("["):
            return json.loads(text)
        return json.loads(_DataOnly(io.BytesIO(zlib.decompress(base64.b64decode(text)))).load())
    except Exception as error:  # pickle raises nearly anything on damaged data
        raise ValueError(f"its private tests cannot be decoded: {error}") from None
