"""The real files of programming problems, prepared and read back."""

import json
import os
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from g2rl.data.__main__ import main
from g2rl.data.check import check_rows
from g2rl.data.tests_files import LIMIT_BYTES, file_name, resolve

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("G2RL_TEST_DATA" not in os.environ, reason="G2RL_TEST_DATA is not set"),
]

FILES = {  # file -> set, problems, of these with their tests in a file
    "humaneval.jsonl": ("humaneval", 164, 0),
    "mbpp.jsonl": ("mbpp", 970, 0),
    "codeforces_408.jsonl": ("codeforces", 408, 0),
    "leetcode_train.jsonl": ("code_jsonl", 1768, 0),
    "code_contests_165.jsonl": ("code_jsonl", 165, 7),
    "taco_5.jsonl": ("code_jsonl", 5, 0),
}


def source(file):
    return Path(os.environ["G2RL_TEST_DATA"]) / "code" / file


def prepared(folder):
    """The rows of all parquet files of a folder, by the problem's id."""
    rows = [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return {row["extra_info"]["id"]: row for row in rows}


@pytest.mark.parametrize("file", FILES)
def test_prepared_and_read_back(tmp_path, file, capsys):
    name, count, in_files = FILES[file]
    arguments = ["--val-size", "1"] if name == "code_jsonl" else []  # runs the 1,768 solutions of LeetCode
    main([name, "--source", str(source(file)), "--out", str(tmp_path), *arguments])
    assert "left out" not in capsys.readouterr().err
    assert sum(check_rows(path).count for path in tmp_path.glob("*.parquet")) == count
    rows = prepared(tmp_path)
    originals = [json.loads(line) for line in source(file).read_text().splitlines()]
    assert len(rows) == len(originals) == count
    outsourced = 0
    for original in originals:
        row = rows[original["id"]]
        gold = row["reward_model"]["ground_truth"]
        outsourced += file_name(gold) is not None
        assert len(gold.encode()) <= LIMIT_BYTES
        truth = json.loads(resolve(gold, [tmp_path]))
        assert truth.get("function") == original.get("function") and truth.get("compare") == original.get("compare")
        unique = list({json.dumps(test): test for test in original["tests"]}.values())
        assert [canonical(test) for test in truth["tests"]] == [canonical(test) for test in unique]
        assert row["prompt"][-1]["content"].startswith(original["problem"].strip())
        if "function" in original:
            assert original["function"] in row["prompt"][-1]["content"]
    assert outsourced == in_files


def canonical(test):
    return json.dumps({key: value for key, value in test.items() if value != {}}, sort_keys=True)


def test_genuine_rows_of_livecodebench(tmp_path, capsys):
    window = ["--start-date", "2023-05-01", "--end-date", "2023-09-01"]
    file = str(source("livecodebench_fixture.jsonl"))
    main(["livecodebench", "--source", file, *window, "--out", str(tmp_path)])
    assert "left out" not in capsys.readouterr().err
    rows = prepared(tmp_path)
    truths = {name: json.loads(resolve(row["reward_model"]["ground_truth"], [tmp_path])) for name, row in rows.items()}
    assert truths.keys() == {"1873_A", "2727", "abc301_a"}
    assert Counter(truth.get("function") for truth in truths.values()) == {None: 2, "countSeniors": 1}
    assert sum(len(truth["tests"]) for truth in truths.values()) == 34
    assert all(test["result"] == sum(int(passenger[11:13]) > 60 for passenger in test["args"][0])
               for test in truths["2727"]["tests"])  # fmt: skip
    assert "class Solution:" in rows["2727"]["prompt"][-1]["content"]
    with pytest.raises(ValueError, match="no problem of"):
        main(["livecodebench", "--source", file, "--out", str(tmp_path)])
