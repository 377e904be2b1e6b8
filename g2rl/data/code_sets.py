"""The sets of programming problems: where each comes from, and how its rows are read, checked and left out."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from g2rl.data import deepcoder, humaneval, livecodebench
from g2rl.data.code_problems import to_code_record
from g2rl.data.reading import Row, read_file, read_hub
from g2rl.data.records import Record


@dataclass(frozen=True)
class CodeSet:
    """One entry of the table; its name is also its data source and its file's name."""

    repository: str  # on the Hugging Face hub
    revision: str
    split: str  # what it is for: train or test
    parts: tuple[tuple[str | None, str], ...]  # (config, split) on the hub
    count: int | None  # problems on the hub, where it is published
    convert: Callable[[Row], Row]  # a row of the hub -> a row of code_jsonl


DEEPCODER = ("agentica-org/DeepCoder-Preview-Dataset", "177913a7bd43791646ef6a43645caa3c871ab3db")
MBPP = ("google-research-datasets/mbpp", "4bb6404fdc6cacfda99d4ac4205087b89d32030c")
MBPP_SPLITS = ("prompt", "test", "validation", "train")

CODE_SETS: Mapping[str, CodeSet] = MappingProxyType(
    {
        "livecodebench": CodeSet(
            livecodebench.REPOSITORY,
            livecodebench.REVISION,
            "test",
            (),  # read by livecodebench.read_window
            livecodebench.PUBLISHED_COUNT,
            livecodebench.convert,
        ),
        "deepcoder": CodeSet(
            *DEEPCODER,
            "train",
            (("primeintellect", "train"), ("taco", "train"), ("lcbv5", "train")),
            None,  # about 24,000
            deepcoder.convert,
        ),
        "codeforces": CodeSet(*DEEPCODER, "test", (("codeforces", "test"),), 408, deepcoder.convert),
        "humaneval": CodeSet(
            "openai/openai_humaneval",
            "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
            "test",
            ((None, "test"),),
            164,
            humaneval.convert,
        ),
        "humaneval_plus": CodeSet(
            "evalplus/humanevalplus",
            "d32357cf319e50e9c8d8dab5ea876c72b0fd321b",
            "test",
            ((None, "test"),),
            164,
            humaneval.convert_plus,
        ),
        "mbpp": CodeSet(*MBPP, "test", tuple(("full", split) for split in MBPP_SPLITS), 974, humaneval.convert_mbpp),
        "mbpp_sanitized": CodeSet(
            *MBPP, "test", tuple(("sanitized", split) for split in MBPP_SPLITS), 427, humaneval.convert_mbpp
        ),
    }
)


def read_code_set(name: str, source: Path | None, window: livecodebench.Window, max_tests: int | None) -> list[Record]:
    """The problems of one set of the table, from the hub or a local file with the hub's columns or `code_jsonl`'s.

    Rows by which no program could be judged (no tests, tests that cannot be decoded, ...) are left out; their numbers,
    counted from 0, and what is wrong with them are printed.

    Raises:
        ValueError: the source cannot be read, a column is missing, or no problem is left.
    """
    chosen = CODE_SETS[name]
    rows: Iterable[tuple[int, Row]]
    if name == "livecodebench":
        rows = livecodebench.read_window(source, window)
    elif source is not None:
        rows = enumerate(read_file(source))
    else:
        parts = (read_hub(chosen.repository, chosen.revision, config, split) for config, split in chosen.parts)
        rows = enumerate(row for part in parts for row in part)
    records: list[Record] = []
    left_out: dict[str, list[int]] = {}  # what is wrong with the rows -> their numbers
    for number, row in rows:
        try:
            records.append(to_code_record(row if _is_converted(row) else chosen.convert(row), max_tests))
        except KeyError as error:
            raise ValueError(
                f"{source or chosen.repository}, row {number}: no column {error}, and not the columns of code_jsonl; "
                f"it has {', '.join(map(str, row))}."
            ) from None
        except ValueError as error:
            left_out.setdefault(str(error), []).append(number)
    total = len(records) + sum(map(len, left_out.values()))
    for reason, numbers in left_out.items():
        print(
            f"{name}: {len(numbers)} of {total} problems left out, numbers {', '.join(map(str, numbers))} "
            f"counted from 0: {reason}",
            file=sys.stderr,
        )
    if not records:
        raise ValueError(f"{name}: no problem of {source or chosen.repository} can be used.")
    expected = chosen.count if name != "livecodebench" or window == livecodebench.PUBLISHED else None
    if expected is not None and len(records) != expected:
        print(f"{name}: {len(records)} problems; the published set has {expected}", file=sys.stderr)
    return records


def _is_converted(row: Row) -> bool:
    return "problem" in row and isinstance(row.get("tests"), list)
