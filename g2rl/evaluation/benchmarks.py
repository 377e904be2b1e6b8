"""A benchmark as evaluation sees it: problems with prompts and ground truths.

They are read from verl's parquet rows, or from a file of the user's own as for training.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet

from g2rl.data.check import ground_truth_text
from g2rl.data.code_problems import CODE_SYSTEM_PROMPT
from g2rl.data.code_sets import CODE_SETS
from g2rl.data.own import read_any
from g2rl.data.reading import FORMATS
from g2rl.data.rows import PAPER_SYSTEM_PROMPT, verl_rows
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
    sha256: str  # of the parquet file, or of the rows that a file of the user's own became
    problems: list[Problem]


def load_benchmark(
    name: str, data_dir: Path, columns: Mapping[str, str] | None = None, system_prompt: str | None = None
) -> Benchmark:
    """Read `<data_dir>/<name>.parquet`, or the file that `name` is the path of.

    A file that does not hold verl's rows holds problems of the user's own, in any of the shapes that `g2rl.data.own`
    reads; `columns` and `system_prompt` (default: as for training) are for these.

    Raises:
        ValueError: no such benchmark or file, or a row that lacks something, named with its file and number.
    """
    is_path = Path(name.removesuffix(".gz")).suffix in FORMATS
    path = Path(name) if is_path else data_dir / f"{name}.parquet"
    if not path.is_file():
        raise ValueError(_missing(name, path, data_dir))
    rows = _verl_rows(path) if columns is None else None
    if rows is not None:
        if system_prompt is not None:
            raise ValueError(f"{path} holds whole prompts; --system-prompt is for a file of your own problems.")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        rows = _own_rows(path, columns, system_prompt)
        sha256 = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    problems = [_problem(row, path, number) for number, row in enumerate(rows)]
    if not problems:
        raise ValueError(f"{path} has no rows.")
    seen: dict[str, int] = {}
    for number, problem in enumerate(problems):
        if problem.id in seen:
            raise ValueError(
                f"{path}: rows {seen[problem.id]} and {number} have the same extra_info.index, {problem.id}."
            )
        seen[problem.id] = number
    return Benchmark(Path(path.name.removesuffix(".gz")).stem, path, sha256, problems)


def _verl_rows(path: Path) -> list[dict] | None:
    """The rows of a parquet file with verl's columns; None for another file."""
    if path.suffix != ".parquet":
        return None
    table = pyarrow.parquet.read_table(path)
    is_verls = {"data_source", "prompt", "reward_model", "extra_info"} <= set(table.column_names)
    return table.to_pylist() if is_verls else None


def _own_rows(path: Path, columns: Mapping[str, str] | None, system_prompt: str | None) -> list[dict]:
    data_source, records = read_any(path, columns)
    if system_prompt is None:
        system_prompt = CODE_SYSTEM_PROMPT if data_source == "code" else PAPER_SYSTEM_PROMPT
    return verl_rows(records, data_source=data_source, split="test", system_prompt=system_prompt)


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
    try:
        gold = ground_truth_text(reward_model["ground_truth"])
    except ValueError as error:
        raise ValueError(f"{path}, row {number}: reward_model.ground_truth is {error}.") from None
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
    if path == Path(name):
        return f"{path} does not exist."
    known = sorted({*BENCHMARKS, *(file.stem for file in data_dir.glob("*.parquet"))})
    nearest = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known)}, or the path of a file."
    return f"Unknown benchmark {name!r}; {hint}"
