"""Rows of programming problems: what the judge gets, what is refused, and where long lists of tests go."""

import gzip
import json

import pyarrow.parquet as pq
import pytest

from g2rl.data.__main__ import main
from g2rl.data.check import check_rows
from g2rl.data.code_problems import CODE_SYSTEM_PROMPT, longest, to_code_record
from g2rl.data.tests_files import LIMIT_BYTES, file_name, resolve, store_long

SUM = {"problem": "Print the sum.", "tests": [{"stdin": "1 2\n", "stdout": "3\n"}]}
ADD = {"problem": "Write add(a, b).", "function": "add", "tests": [{"args": [1, 2], "result": 3}]}


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_judge_gets_the_tests_and_nothing_else():
    record = to_code_record({**ADD, "id": 7, "subject": "easy", "compare": "approx", "solution": "secret", "x": 1})
    assert json.loads(record.answer) == {"function": "add", "compare": "approx", "tests": ADD["tests"]}
    assert (record.question, record.extra) == ("Write add(a, b).", {"id": "7", "subject": "easy"})
    printed = to_code_record(
        {**SUM, "tolerance": 1e-6, "tests": [{"input": "1 2", "output": "3", "testtype": "stdin"}]}
    )
    assert json.loads(printed.answer) == {"tolerance": 1e-6, "tests": [{"stdin": "1 2", "stdout": "3"}]}


def test_what_the_model_has_to_write_stands_in_the_question():
    starter = "def add(a, b):\n    "
    with_starter = to_code_record({**ADD, "starter_code": starter}).question
    assert with_starter == "Write add(a, b).\n\nComplete this code:\n\n```python\ndef add(a, b):\n```"
    already = {**ADD, "problem": f"Complete:\n{starter}", "starter_code": starter}
    assert to_code_record(already).question == already["problem"].strip()
    assert to_code_record({**ADD, "problem": "Sum up."}).question == "Sum up.\n\nThe function is called `add`."


def test_equal_tests_count_once_and_contradicting_ones_are_refused():
    twice = [{"stdin": "1", "stdout": "1"}, {"stdin": "2", "stdout": "2"}, {"input": "1", "output": "1"}]
    assert json.loads(to_code_record({**SUM, "tests": twice}).answer)["tests"] == twice[:2]
    with pytest.raises(ValueError, match="two tests have the input of test 1 and different results"):
        to_code_record({**SUM, "tests": [{"stdin": "1", "stdout": "1"}, {"stdin": "1", "stdout": "2"}]})


def test_the_longest_inputs_are_kept_in_their_order():
    tests = [{"stdin": "x" * size, "stdout": str(size)} for size in (3, 9, 1, 7, 7)]
    assert [len(test["stdin"]) for test in longest(tests, 3)] == [9, 7, 7]
    assert longest(tests, 5) == longest(tests, None) == tests
    calls = [{"args": [list(range(size))], "result": size} for size in (1, 30, 2)]
    kept = json.loads(to_code_record({**ADD, "tests": calls}, max_tests=1).answer)["tests"]
    assert kept == calls[1:2]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**SUM, "problem": " "}, "no 'problem'"),
        ({"tests": SUM["tests"]}, "no 'problem'"),
        ({**SUM, "tests": []}, "no test"),
        ({**SUM, "tests": "[]"}, "no test"),
        ({**SUM, "tests": [{"stdin": "1"}]}, "test 0 is neither"),
        ({**SUM, "tests": [*SUM["tests"], {"stdin": 1, "stdout": "1"}]}, "test 1 is neither"),
        ({**ADD, "tests": [{"args": 1, "result": 1}]}, "test 0 is neither"),
        ({**SUM, "tests": [*SUM["tests"], *ADD["tests"]]}, "of both kinds"),
        ({**ADD, "function": None}, "'function' must name"),
        ({**ADD, "function": "a.b"}, "'function' must name"),
        ({**SUM, "function": "add"}, "it has a 'function', but its tests are standard input"),
        ({**ADD, "compare": "loose"}, "'compare' is 'loose'; of calls it may be one of equal, approx"),
        ({**SUM, "compare": "approx"}, "'compare' is 'approx'"),
        ({**SUM, "tolerance": "1e-6"}, "'tolerance' is '1e-6'"),
        ({**ADD, "tolerance": 1e-6}, "of printed output"),
        ({**ADD, "tests": [{"args": [], "result": float("nan")}]}, "values that JSON has not"),
    ],
)
def test_bad_rows(row, message):
    with pytest.raises(ValueError, match=message):
        to_code_record(row)


def test_a_users_file_is_written_with_its_own_prompt_and_data_source(tmp_path):
    source = write_jsonl(tmp_path / "mine.jsonl", [{**SUM, "problem": f"Problem {n}."} for n in range(20)])
    main(["code_jsonl", "--source", str(source), "--val-size", "4", "--out", str(tmp_path)])
    assert check_rows(tmp_path / "train.parquet").count == 16
    (row, *_) = pq.read_table(tmp_path / "val.parquet").to_pylist()
    assert (row["data_source"], row["ability"], row["extra_info"]["split"]) == ("code", "code", "val")
    assert row["prompt"][0]["content"] == CODE_SYSTEM_PROMPT
    assert json.loads(row["reward_model"]["ground_truth"]) == {"tests": SUM["tests"]}


def test_a_bad_row_of_a_users_file_stops_it_with_its_number(tmp_path):
    source = write_jsonl(tmp_path / "mine.jsonl", [SUM, SUM, {**SUM, "tests": []}])
    with pytest.raises(ValueError, match=r"mine\.jsonl, row 2: no test\."):
        main(["code_jsonl", "--source", str(source), "--out", str(tmp_path)])
    with pytest.raises(ValueError, match="--max-tests 0"):
        main(["code_jsonl", "--source", str(source), "--max-tests", "0", "--out", str(tmp_path)])
    with pytest.raises(ValueError, match="name it with --source FILE"):
        main(["code_jsonl", "--out", str(tmp_path)])


def test_solutions_of_a_users_file_are_run(tmp_path, capsys):
    good = {**ADD, "solution": "def add(a, b):\n    return a + b"}
    rows = [{**good, "problem": f"Write add(a, b), {n}."} for n in range(12)]
    rows[3]["solution"], rows[7]["solution"] = "def add(a, b):\n    return a.b", "def add(a, b):\n    return 4"
    source = write_jsonl(tmp_path / "mine.jsonl", [*rows, {**SUM, "solution": "print(sum(map(int, input().split())))"}])
    arguments = ["code_jsonl", "--source", str(source), "--out", str(tmp_path)]
    with pytest.raises(ValueError, match=r"solutions of rows 3, 7 do not pass their tests \(row 3: error\)"):
        main(arguments)
    main([*arguments, "--no-check"])
    write_jsonl(source, [row for n, row in enumerate(rows) if n not in (3, 7)])
    main(arguments)
    assert check_rows(tmp_path / "train.parquet").count == 9


def test_long_lists_of_tests_lie_beside_the_parquet_file(tmp_path):
    tests = [{"stdin": "é" * 999 + str(n), "stdout": "1"} for n in range(40)]
    rows = [{**SUM, "problem": "Long.", "tests": tests}, *({**SUM, "problem": f"Short {n}."} for n in range(3))]
    source = write_jsonl(tmp_path / "mine.jsonl", rows)
    main(["code_jsonl", "--source", str(source), "--val-size", "1", "--out", str(tmp_path / "a")])
    found = {}
    for path in (tmp_path / "a").glob("*.parquet"):
        check_rows(path)
        for row in pq.read_table(path).to_pylist():
            found[row["prompt"][-1]["content"]] = row["reward_model"]["ground_truth"]
    assert len(found["Long."]) < 200 and json.loads(found["Long."])["count"] == 40
    assert file_name(found["Short 0."]) is None and resolve(found["Short 0."], []) == found["Short 0."]
    assert json.loads(resolve(found["Long."], [tmp_path, tmp_path / "a"])) == {"tests": tests}
    with pytest.raises(FileNotFoundError, match=r"the tests tests/\w\w/\w{64}\.json\.gz are in none of"):
        resolve(found["Long."], [tmp_path])

    (tmp_path / "a" / file_name(found["Long."])).unlink()
    with pytest.raises(ValueError, match=r"parquet, row \d: its tests, .* are missing"):
        for path in (tmp_path / "a").glob("*.parquet"):
            check_rows(path)


def test_the_limit_and_the_hash_of_long_tests(tmp_path):
    gold = json.dumps({"tests": [{"stdin": "x" * (LIMIT_BYTES - 50), "stdout": ""}]})
    at_the_limit = gold.replace("x", "x" * (1 + LIMIT_BYTES - len(gold)), 1)
    assert len(at_the_limit) == LIMIT_BYTES and store_long(at_the_limit, tmp_path) == at_the_limit
    assert not list(tmp_path.iterdir())
    above = at_the_limit.replace("x", "xx", 1)
    assert store_long(above, tmp_path) == store_long(above, tmp_path)
    (file,) = tmp_path.glob("tests/*/*.json.gz")
    assert gzip.decompress(file.read_bytes()).decode() == above
