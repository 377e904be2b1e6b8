"""HumanEval, HumanEval+ and MBPP with the hub's columns; what is run is run in the judge's sandbox."""

import json

import pytest

from g2rl.data import humaneval
from g2rl.data.code_problems import to_code_record
from g2rl.verify.code import CodePool

HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def total(numbers):\n    """ Sum and count. """\n',
    "canonical_solution": "    return (sum(numbers), len(numbers)) if numbers else total([0])\n",
    "test": """
import random

def check(candidate):
    assert candidate([1, 2]) == (3, 2)
    assert candidate([])[0] == 0
    for _ in range(3):
        n = random.randint(0, 10**6)
        assert candidate([n]) == (n, 1), str(n)
""",
    "entry_point": "total",
}
SHARED = """
def helper(a, b):
    return set(a) & set(b)

def shared(a, b):
    return tuple(helper(a, b))
"""
MBPP = {
    "task_id": 2,
    "text": "Write a function to find the shared elements.",
    "code": SHARED.replace("\n", "\r\n"),
    "test_list": ["assert set(shared((3, 4), (4, 5))) == set((4,))", "assert set(shared((1, 2), (2, 1))) == {1, 2}"],
    "test_setup_code": "",
    "challenge_test_list": [],
}


def truth(row):
    return json.loads(to_code_record(row).answer)


def test_the_calls_of_humaneval_become_tests():
    row = humaneval.convert(HUMANEVAL)
    found = truth(row)
    assert found["function"] == "total" and "compare" not in found
    # Not the call that the function makes of itself; the arguments as they were before the call.
    assert found["tests"][:2] == [
        {"args": [[1, 2]], "result": {"tuple": [3, 2]}},
        {"args": [[]], "result": {"tuple": [0, 1]}},
    ]
    assert len(found["tests"]) == 5
    assert row["problem"].startswith("Complete the following Python function.\n\n```python\ndef total")
    assert row == humaneval.convert(HUMANEVAL)  # random numbers too


def test_the_calls_of_mbpp_become_tests():
    found = truth(humaneval.convert_mbpp(MBPP))
    assert (found["function"], found["compare"]) == ("shared", "unordered")
    assert [test["args"] for test in found["tests"]] == [
        [{"tuple": [3, 4]}, {"tuple": [4, 5]}],
        [{"tuple": [1, 2]}, {"tuple": [2, 1]}],
    ]
    sanitized = {"prompt": "Divide.", "code": "def div(a, b=2):\n  return a / b", "test_imports": ["import math"]}
    sanitized |= {"task_id": 3, "test_list": ["assert math.isclose(div(3), 1.5)", "assert div(a=1, b=4) == 0.25"]}
    row = humaneval.convert_mbpp(sanitized)
    assert row["problem"].endswith("Your code should pass this test:\n\nassert math.isclose(div(3), 1.5)")
    assert truth(row) == {
        "function": "div",
        "compare": "approx",
        "tests": [{"args": [3], "result": 1.5}, {"args": [], "kwargs": {"a": 1, "b": 4}, "result": 0.25}],
    }
    matching = {"code": "import re\ndef match(s):\n  return re.search('a', s)", "text": "Match."}
    found = truth(
        humaneval.convert_mbpp(MBPP | matching | {"test_list": ["assert match('a')", "assert not match('b')"]})
    )
    assert found["compare"] == "truth" and [test["result"] for test in found["tests"]] == [True, None]


def test_solutions_pass_the_tests_that_were_made_and_others_do_not():
    cases = [
        (humaneval.convert(HUMANEVAL), HUMANEVAL["prompt"] + HUMANEVAL["canonical_solution"], ", len", ", 1+len"),
        (humaneval.convert_mbpp(MBPP), MBPP["code"], "&", "|"),
    ]
    with CodePool(1) as pool:
        for row, solution, old, new in cases:
            gold = to_code_record(row).answer
            assert pool.submit(f"```python\n{solution}\n```", gold).result().correct
            assert not pool.submit(f"```python\n{solution.replace(old, new)}\n```", gold).result().correct


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"canonical_solution": "    return 0\n"}, "its asserts cannot be run with its solution: error AssertionError"),
        ({"canonical_solution": "    return iter(numbers)\n"}, "its asserts cannot be run"),
        ({"test": "def check(candidate):\n    open('made', 'w')\n"}, "its asserts cannot be run .* PermissionError"),
        ({"test": "def check(candidate):\n    pass\n"}, "no test"),
    ],
)
def test_asserts_that_fail_or_do_more_than_call(changes, message):
    with pytest.raises(ValueError, match=message):
        truth(humaneval.convert(HUMANEVAL | changes))


def test_an_assert_that_calls_nothing_of_the_solution():
    with pytest.raises(ValueError, match="its first assert calls no function"):
        humaneval.convert_mbpp(MBPP | {"test_list": ["assert len('a') == 1"]})


PLUS = """
def is_floats(x) -> bool:
    return isinstance(x, float)

def check(candidate):
    inputs = [[[1.0, 2.0], 0.3], [[], -1]]
    results = [(True, {1: 2}), None]
    for i, (inp, exp) in enumerate(zip(inputs, results)):
        assertion(candidate(*inp), exp, 0)
"""


def test_humaneval_plus_is_read_and_not_run():
    row = {"task_id": "HumanEval/9", "prompt": "def f(a, b):\n", "entry_point": "f", "test": PLUS + "\nboom()\n"}
    assert truth(humaneval.convert_plus(row)) == {
        "function": "f",
        "compare": "approx",
        "tests": [
            {"args": [[1.0, 2.0], 0.3], "result": {"tuple": [True, {"dict": [[1, 2]]}]}},
            {"args": [[], -1], "result": None},
        ],
    }
    assert humaneval.convert_plus(row | {"entry_point": "find_zero"})["compare"] == "root"
    with pytest.raises(ValueError, match="hold no 'results': they compute what they expect"):
        humaneval.convert_plus(row | {"test": PLUS.replace("results =", "other =")})
    with pytest.raises(ValueError, match="'inputs' of its tests is not a literal"):
        humaneval.convert_plus(row | {"test": PLUS.replace("-1", "boom()")})
