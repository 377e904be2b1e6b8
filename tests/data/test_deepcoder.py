"""DeepCoder's three shapes of tests, with the columns and the values that its parts have."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g2rl.data.__main__ import main
from g2rl.data.code_problems import to_code_record
from g2rl.data.deepcoder import TOLERANCE, convert


def truth(tests, **columns):
    row = {"problem": "P", "solutions": [], "tests": json.dumps(tests), **columns}
    return json.loads(to_code_record(convert(row)).answer)


STDIN = [{"stdin": "1\n2", "stdout": "3"}, {"stdin": "4", "stdout": "5\n"}]
CALLS = [{"args": [[1, 2], "a"], "result": [1]}, {"args": [[], ""], "result": []}]


def test_taco():
    stdin = {"inputs": [["1", "2"], "4"], "outputs": [["3"], "5\n"]}
    assert truth(stdin) == {"tolerance": TOLERANCE, "tests": STDIN}
    wrapped = {"fn_name": "f", "inputs": [[[1, 2], "a"], [[], ""]], "outputs": [[[1]], [[]]]}
    assert truth(wrapped) == {"function": "f", "tests": CALLS}
    plain = {"fn_name": "f", "inputs": [[[1, 2], "a"], [[], ""]], "outputs": [[1], []]}
    assert truth(plain) == {"function": "f", "tests": CALLS}


def test_primeintellect():
    stdin = [{"type": "stdin_stdout", "input": t["stdin"], "output": t["stdout"], "fn_name": None} for t in STDIN]
    assert truth(stdin) == {"tolerance": TOLERANCE, "tests": STDIN}
    calls = [{"type": "function_call", "fn_name": "f", "input": t["args"], "output": [t["result"]]} for t in CALLS]
    assert truth(calls) == {"function": "f", "tests": CALLS}


def test_livecodebench_and_codeforces():
    stdin = [{"testtype": "stdin", "input": t["stdin"], "output": t["stdout"]} for t in STDIN]
    assert truth(stdin, metadata={}, starter_code="") == {"tests": STDIN}
    assert truth([{"input": t["stdin"], "output": t["stdout"]} for t in STDIN]) == {"tests": STDIN}
    calls = [
        {
            "testtype": "functional",
            "input": "\n".join(map(json.dumps, t["args"])),
            "output": json.dumps(t["result"]),
            "metadata": {"func_name": "f"},
        }
        for t in CALLS
    ]
    assert truth(calls) == {"function": "f", "tests": CALLS}
    assert truth(calls, metadata='{"func_name": "g"}') == {"function": "g", "tests": CALLS}


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ([], "no test"),
        ({"inputs": [], "outputs": []}, "no test"),
        ({"inputs": ["1"], "outputs": []}, "not two lists of one length"),
        ({"input": "1"}, "not two lists of one length"),
        ("text", "neither a dictionary nor a list"),
        ([1], "neither a dictionary nor a list"),
        ([{"input": "1"}], "no 'input' or no 'output'"),
        ([{"type": "stdin_stdout", "input": "1", "output": "1"}, {"type": "x", "input": "1", "output": "1"}], "types"),
        ([{"testtype": "functional", "input": "1", "output": "1"}], "'function' must name"),
        ([{"testtype": "functional", "input": "{", "output": "1"}], "not JSON"),
        (
            [
                {"testtype": "functional", "input": "1", "output": "1"},
                {"testtype": "stdin", "input": "1", "output": "1"},
            ],
            "of both kinds",
        ),
        ({"fn_name": "f", "inputs": [1], "outputs": [[1]]}, "test 0 is neither"),
    ],
)
def test_tests_that_cannot_be_used(tests, message):
    with pytest.raises(ValueError, match=message):
        truth(tests)


def test_a_parquet_file_of_all_three_with_one_row_left_out(tmp_path, capsys):
    shapes = [
        {"inputs": [f"{'9' * n}" for n in range(1, 20)], "outputs": ["1"] * 19},
        [{"type": "stdin_stdout", "input": "1", "output": "1"}],
        [],
        [{"testtype": "stdin", "input": "1", "output": "1"}],
    ]
    rows = [{"problem": f"P{n}", "tests": json.dumps(tests)} for n, tests in enumerate(shapes)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    main(["deepcoder", "--source", str(tmp_path / "a.parquet"), "--max-tests", "15", "--out", str(tmp_path / "out")])
    assert "deepcoder: 1 of 4 problems left out, numbers 2 counted from 0: no test\n" in capsys.readouterr().err
    written = pq.read_table(tmp_path / "out" / "deepcoder.parquet").to_pylist()
    assert [row["prompt"][-1]["content"] for row in written] == ["P0", "P1", "P3"]
    assert {(row["data_source"], row["extra_info"]["split"]) for row in written} == {("deepcoder", "train")}
    kept = json.loads(written[0]["reward_model"]["ground_truth"])["tests"]
    assert [len(test["stdin"]) for test in kept] == list(range(5, 20))

    pq.write_table(pa.table({"question": ["P"], "tests": ["[]"]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet, row 0: no column 'problem'"):
        main(["deepcoder", "--source", str(tmp_path / "b.parquet"), "--out", str(tmp_path / "out")])
