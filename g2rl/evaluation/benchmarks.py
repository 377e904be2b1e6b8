"""A benchmark as evaluation sees it: problems with prompts and ground truths, read from verl's parquet rows."""

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet

from g2rl.data.check import ground_truth_text
from g2rl.data.code_sets import CODE_SETS
from g2rl.data.sets import SETS
from g2rl.data.tests_files import file_name

# file name without suffix -> the set that `python -m g2rl.data` writes it for
BENCHMARKS = {
    name if len(problem_set.splits) == 1 else f"{name}_test": name
    for name, problem_set in SETS.items()
    if "test" in problem_set.splits
} | {name: name for name, code_set in CODE_SETS.items() if code_set.split == "test"}


@dataclass(frozen=True)
class Problem:
    id: str
    messages: list[dict[str, str]]  # chat messages, the system prompt included where there is one
    gold: str
    data_source: str
    subject: str | None = None
    level: str | None = None
    num_choices: int | None = None  # of a multiple-choice question


@dataclass(frozen=True)
class Benchmark:
    name: str
    path: Path
    sha256: str  # of the parquet file
    problems: list[Problem]


def load_benchmark(name: str, data_dir: Path) -> Benchmark:
    """Read `<data_dir>/<name>.parquet`, or the parquet file that `name` is the path of.

    Raises:
        ValueError: no such benchmark or file, or a row that lacks something, named with its file and number.
    """
    path = Path(name) if name.endswith(".parquet") else data_dir / f"{name}.parquet"
    if not path.is_file():
        raise ValueError(_missing(name, path, data_dir))
    problems = [_problem(row, path, number) for number, row in enumerate(_rows(path))]
    if not problems:
        raise ValueError(f"{path} has no rows.")
    seen: dict[str, int] = {}
    for number, problem in enumerate(problems):
        if problem.id in seen:
            raise ValueError(
                f"{path}: rows {seen[problem.id]} and {number} have the same extra_info.index, {problem.id}."
            )
        seen[problem.id] = number
    return Benchmark(path.stem, path, hashlib.sha256(path.read_bytes()).hexdigest(), problems)


def _rows(path: Path) -> list[dict]:
    table = pyarrow.parquet.read_table(path)
    for column in ("data_source", "prompt", "reward_model", "extra_info"):
        if column not in table.column_names:
            raise ValueError(f"{path}, row 0: no column {column!r}; prepare the file with `python -m g2rl.data`.")
    return table.to_pylist()


def _problem(row: dict, path: Path, number: int) -> Problem:
    extra, reward_model = row["extra_info"] or {}, row["reward_model"] or {}
    needed = {
        "data_source": row["data_source"],
        "prompt": row["prompt"],
        "reward_model.ground_truth": reward_model.get("ground_truth"),
        "extra_info.index": extra.get("index"),
    }
    for field, value in needed.items():
        if value is None or value == []:
            raise ValueError(f"{path}, row {number}: {field} is missing; prepare the file with `python -m g2rl.data`.")
    gold = ground_truth_text(reward_model["ground_truth"])
    tests = file_name(gold)
    if tests is not None and not (path.parent / tests).is_file():
        raise ValueError(f"{path}, row {number}: its tests, {path.parent / tests}, are missing; copy them along.")
    level = extra.get("level")
    return Problem(
        id=str(extra["index"]),
        messages=[{"role": message["role"], "content": message["content"]} for message in row["prompt"]],
        gold=gold,
        data_source=row["data_source"],
        subject=extra.get("subject"),
        level=None if level is None else str(level),
        num_choices=extra.get("num_choices"),
    )


def _missing(name: str, path: Path, data_dir: Path) -> str:
    if name in BENCHMARKS:
        return f"{path} does not exist; prepare it with `python -m g2rl.data {BENCHMARKS[name]} --out {data_dir}`."
    if name.endswith(".parquet"):
        return f"{path} does not exist."
    known = sorted({*BENCHMARKS, *(file.stem for file in data_dir.glob("*.parquet"))})
    nearest = difflib.get_close_matches(name.lower(), known, n=1)
    hint = (
        f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known)}, or the path of a parquet file."
    )
    return f"Unknown benchmark {name!r}; {hint}"
