"""The parquet files that a task of configs/task names, made where they are missing."""

import sys
from pathlib import Path

from g2rl.data.__main__ import OWN_FILES, main
from g2rl.data.generated import GENERATED


def ensure(name: str, out: str, source: str | None = None, max_tests: int | None = None) -> list[Path]:
    """The files of the set `name` in the folder `out`; a set of the user's is made anew, any other once.

    Args:
        max_tests: how many tests of a programming problem are kept.

    Raises:
        ValueError: `source` is missing for a set of the user's, or the set cannot be made.
    """
    if name in OWN_FILES and source is None:
        raise ValueError(f"task={name} trains on a file of yours: set DATA_FILE=problems.jsonl in front.")
    files = ("train", "val") if name in (*GENERATED, *OWN_FILES) else (name,)
    paths = [Path(out) / f"{file}.parquet" for file in files]
    if name in OWN_FILES or not all(path.is_file() for path in paths):
        print(f"preparing the data of {name}", file=sys.stderr, flush=True)
        given = {"--source": source, "--max-tests": max_tests}
        options = [part for option, value in given.items() if value is not None for part in (option, str(value))]
        main([name, "--out", out, *options])
    return paths
