"""Where problems come from: a local file, or the Hugging Face hub. Both give a list of plain dictionaries."""

import csv
import gzip
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
FORMATS = (".jsonl", ".json", ".csv", ".parquet")


def read_file(path: Path) -> list[Row]:
    """The rows of a JSON-lines, JSON (list of objects), CSV (with a header) or parquet file, each also as .gz.

    Raises:
        ValueError: there is no such file, or its format is none of these, or it does not hold what its name says.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist; --source takes a file.")
    kind = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if kind not in FORMATS:
        raise ValueError(f"{path}: --source takes a file that ends in {', '.join(FORMATS)} (or one of these with .gz).")
    if kind == ".jsonl":
        return list(json_lines(path))
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if kind == ".parquet":
            return pq.read_table(pa.BufferReader(content)).to_pylist()
        text = content.decode("utf-8-sig")
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from None
    if kind == ".csv":
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        for number, row in enumerate(rows):
            if None in row:
                raise ValueError(f"{path}, row {number}: more cells than columns; quote texts that hold a comma.")
        return rows
    rows = _parse(text, str(path))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: a .json file must hold a list of objects.")
    return rows


def json_lines(path: Path) -> Iterator[Row]:
    """The rows of a JSON-lines file one by one; the files of LiveCodeBench are too large to hold them all.

    Raises:
        ValueError: the file cannot be read, or a line is no JSON object.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if text := line.decode("utf-8-sig").strip():
                    row = _parse(text, f"{path}, line {number}")
                    if not isinstance(row, dict):
                        raise ValueError(f"{path}, line {number} is not a JSON object.")
                    yield row
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from None


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not valid JSON: {error}.") from None


def hub_is_off() -> str:
    """What error messages add where HF_HUB_OFFLINE is set, as the scripts for machines without a GPU set it."""
    return " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") else ""


def hub_file(repository: str, revision: str, name: str) -> Path:
    """One file of a data set on the Hugging Face hub, downloaded where it is not cached. ValueError: it cannot be."""
    import huggingface_hub

    try:
        return Path(huggingface_hub.hf_hub_download(repository, name, repo_type="dataset", revision=revision))
    except (OSError, ValueError) as error:
        raise _no_hub(repository, error) from None


def _no_hub(repository: str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split())
    return ValueError(
        f"{repository} could not be loaded from the Hugging Face hub{hub_is_off()}: {reason}; "
        "a local copy can be given with --source FILE."
    )


def read_hub(repository: str, revision: str, config: str | None, split: str) -> list[Row]:
    """The rows of one split of a data set on the Hugging Face hub, at a pinned revision.

    Raises:
        ValueError: it cannot be downloaded; the reason is the hub's.
    """
    import datasets  # slow to import, and not needed for local files

    try:
        return list(datasets.load_dataset(repository, config, split=split, revision=revision))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise _no_hub(repository, error) from None
