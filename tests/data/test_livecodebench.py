"""LiveCodeBench's rows: windows of dates, and private tests that may be a pickle, which must not run anything."""

import base64
import json
import os
import pickle
import zlib
from datetime import date

import pyarrow.parquet as pq
import pytest

from g2rl.data.__main__ import main
from g2rl.data.livecodebench import convert, private_tests


def pickled(value, protocol=4):
    return base64.b64encode(zlib.compress(pickle.dumps(value, protocol))).decode()


def row(number, day, **changes):
    public = [{"input": f"{number}\n", "output": "1\n", "testtype": "stdin"}]
    private = [{"input": f"{number}{n}\n", "output": "2\n", "testtype": "stdin"} for n in range(3)]
    return {
        "question_title": "T",
        "question_content": f"Problem {number}",
        "platform": "atcoder",
        "question_id": f"abc{number}",
        "contest_id": "abc",
        "contest_date": f"{day}T00:00:00",
        "starter_code": "",
        "difficulty": "easy" if number % 2 else "hard",
        "public_test_cases": json.dumps(public),
        "private_test_cases": pickled(json.dumps(private)),
        "metadata": "{}",
        **changes,
    }


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def prepare(tmp_path, *arguments):
    main(["livecodebench", *arguments, "--out", str(tmp_path / "out")])
    return pq.read_table(tmp_path / "out" / "livecodebench.parquet").to_pylist()


DAYS = ["2024-07-31", "2024-08-01", "2025-01-31", "2025-02-01"]


def test_the_window_of_dates_begins_with_its_first_day_and_ends_before_its_last(tmp_path, capsys):
    source = write(tmp_path / "a.jsonl", [row(n, day) for n, day in enumerate(DAYS)])
    rows = prepare(tmp_path, "--source", source)
    assert [r["extra_info"]["id"] for r in rows] == ["abc1", "abc2"]
    assert [r["extra_info"]["subject"] for r in rows] == ["easy", "hard"]
    assert {r["data_source"] for r in rows} == {"livecodebench"}
    assert len(json.loads(rows[0]["reward_model"]["ground_truth"])["tests"]) == 4
    assert "livecodebench: 2 problems; the published set has 279" in capsys.readouterr().err
    rows = prepare(tmp_path, "--source", source, "--start-date", "2024-01-01", "--end-date", "2024-08-01")
    assert [r["extra_info"]["id"] for r in rows] == ["abc0"]
    assert "published" not in capsys.readouterr().err


def test_calls_are_one_json_value_a_line():
    test = {"input": '[1, "a"]\n2', "output": "[true]", "testtype": "functional"}
    changes = {"public_test_cases": json.dumps([test]), "private_test_cases": "[]"}
    converted = convert(row(1, DAYS[0], metadata='{"func_name": "go"}', **changes))
    assert converted["function"] == "go"
    assert converted["tests"] == [{"args": [[1, "a"], 2], "result": [True]}]


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, protocol):
    for value in (Touch(str(tmp_path / "made")), [Touch(str(tmp_path / "made"))], date(2024, 1, 1), print):
        with pytest.raises(ValueError, match="its private tests cannot be decoded: their pickle is not plain data"):
            private_tests(pickled(value, protocol))
    assert not list(tmp_path.iterdir())
    pickle.loads(zlib.decompress(base64.b64decode(pickled(Touch(str(tmp_path / "made")), protocol))))
    assert list(tmp_path.iterdir())  # an ordinary unpickler does run it


def test_every_way_to_write_private_tests():
    tests = [{"input": "1", "output": "2", "testtype": "stdin"}]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert private_tests(pickled(json.dumps(tests), protocol)) == tests
    assert private_tests(json.dumps(tests)) == tests


@pytest.mark.parametrize(
    "text", ["", "{", "not base64!", base64.b64encode(b"not zlib").decode(), pickled(b"\xff")[:-9]]
)
def test_damaged_private_tests(text):
    with pytest.raises(ValueError, match="its private tests cannot be decoded"):
        private_tests(text)


def test_rows_that_cannot_be_used_are_left_out_and_named(tmp_path, capsys):
    rows = [
        row(0, DAYS[1]),
        row(1, DAYS[1], private_test_cases="damaged"),
        row(2, DAYS[1], private_test_cases=pickled(print)),
        row(3, DAYS[1], public_test_cases="[]", private_test_cases="[]"),
        row(4, DAYS[1], public_test_cases="[]", private_test_cases="[]"),
    ]
    assert len(prepare(tmp_path, "--source", write(tmp_path / "a.jsonl", rows))) == 1
    report = capsys.readouterr().err
    assert "livecodebench: 2 of 5 problems left out, numbers 3, 4 counted from 0: no test\n" in report
    assert "livecodebench: 1 of 5 problems left out, numbers 1 counted from 0: its private tests cannot be" in report
    assert "numbers 2 counted from 0: its private tests cannot be decoded: their pickle is not plain data" in report
    with pytest.raises(ValueError, match=r"livecodebench: no problem of .* can be used"):
        prepare(tmp_path, "--source", write(tmp_path / "a.jsonl", rows[1:]))


def test_a_missing_column_and_an_unknown_release_are_named(tmp_path):
    broken = row(0, DAYS[1])
    del broken["public_test_cases"]
    with pytest.raises(ValueError, match=r"a\.jsonl, row 0: no column 'public_test_cases'.* it has question_title"):
        prepare(tmp_path, "--source", write(tmp_path / "a.jsonl", [broken]))
    with pytest.raises(ValueError, match="row 0: no date in 'contest_date'"):
        prepare(tmp_path, "--source", write(tmp_path / "a.jsonl", [row(0, "soon")]))
    with pytest.raises(ValueError, match="--release v9: there are v1, v2, v3, v4, v5, v6"):
        prepare(tmp_path, "--source", write(tmp_path / "a.jsonl", [broken]), "--release", "v9")
