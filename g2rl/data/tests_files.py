"""Long lists of tests: beside the parquet file, by the hash of their content, instead of inside it.

verl carries a row's ground truth with every response. A ground truth of more than 32 KiB goes to
`<folder of the parquet>/tests/<first two letters>/<sha256>.json.gz`, and the row holds
`{"tests_file": "tests/ab/ab12....json.gz", "count": 41}`. The hash makes any file of that name the right one.
"""

import gzip
import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from g2rl.utils.files import atomic_file

LIMIT_BYTES = 32 << 10


def store_long(ground_truth: str, folder: Path) -> str:
    """What a row holds for a ground truth: the text itself, or the name of the file in `folder` that now holds it."""
    content = ground_truth.encode()
    if len(content) <= LIMIT_BYTES:
        return ground_truth
    digest = hashlib.sha256(content).hexdigest()
    name = f"tests/{digest[:2]}/{digest}.json.gz"
    if not (folder / name).is_file():
        with atomic_file(folder / name) as temporary:
            temporary.write_bytes(gzip.compress(content, mtime=0))
    return json.dumps({"tests_file": name, "count": len(json.loads(ground_truth)["tests"])})


def file_name(ground_truth: str) -> str | None:
    """The file that a row's ground truth names, relative to the parquet's folder; None where it holds its tests."""
    return json.loads(ground_truth)["tests_file"] if ground_truth.startswith('{"tests_file"') else None


def resolve(ground_truth: str, folders: Iterable[Path]) -> str:
    """The ground truth itself, read from one of the folders where the row only names its file.

    Raises:
        FileNotFoundError: the file is in none of them.
    """
    name = file_name(ground_truth)
    if name is None:
        return ground_truth
    for folder in folders:
        if (folder / name).is_file():
            return _content(folder / name)
    raise FileNotFoundError(f"the tests {name} are in none of {', '.join(map(str, folders))}.")


@lru_cache(maxsize=64)  # the responses to one problem arrive together
def _content(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()
