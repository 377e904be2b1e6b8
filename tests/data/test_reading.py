import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rl.data.reading import read_file, read_hub

ROWS = [
    {"problem": "What is 1+1?", "answer": "2"},
    {"problem": 'Two lines,\nwith "quotes", é and \u2028 inside', "answer": "\\frac{1}{2}"},
]


def write(path, kind):
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, ["problem", "answer"])
            writer.writeheader()
            writer.writerows(ROWS)
    elif kind == "json":
        path.write_text(json.dumps(ROWS, ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n\n", encoding="utf-8")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path, kind, zipped):
    path = tmp_path / f"set.{kind}"
    write(path, kind)
    if zipped:
        content, path = path.read_bytes(), tmp_path / f"set.{kind}.gz"
        path.write_bytes(gzip.compress(content))
    assert read_file(path) == ROWS


def test_a_line_of_csv_ends_where_csv_says(tmp_path):
    """Not at every sign at which Python splits lines."""
    path = tmp_path / "set.csv"
    path.write_text("problem,answer\none\u2028two\u0085three\x0cfour,2\n", encoding="utf-8")
    assert read_file(path) == [{"problem": "one\u2028two\u0085three\x0cfour", "answer": "2"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", r"ends in \.jsonl, \.json, \.csv, \.parquet"),
        ("a.jsonl", b'{"problem": 1}\n{"problem": \n', r"a\.jsonl, line 2 is not valid JSON"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl, line 1 is not a JSON object"),
        ("a.json", b'{"problem": 1}', "list of objects"),
        ("a.csv", b"problem,answer\n1+1?,2\nPrimes below 1,000?,168\n", r"a\.csv, row 1: more cells"),
        ("a.parquet", b"not parquet", "cannot be read"),
        ("a.jsonl.gz", b"not gzip", "cannot be read"),
        ("a.jsonl", b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_file(path)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_file(tmp_path / "none.jsonl")


def test_hub_reader_on_a_repository_folder(tmp_path, monkeypatch):
    """`datasets` reads a folder as it reads a repository of the hub."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    repository = tmp_path / "repository"
    repository.mkdir()
    write(repository / "test.jsonl", "jsonl")
    assert read_hub(str(repository), "0" * 40, None, "test") == ROWS
    with pytest.raises(ValueError, match=r"could not be loaded from the Hugging Face hub.*--source FILE"):
        read_hub(str(repository), "0" * 40, None, "train")
