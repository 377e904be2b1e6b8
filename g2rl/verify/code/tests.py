"""The tests of a problem, as a row's ground truth holds them."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast, get_args

from g2rl.verify.code import values
from g2rl.verify.code.expected import Comparison

_MESSAGE = "the tests of a problem cannot be read: {}"


@dataclass(frozen=True)
class Test:
    """stdin: the program's input; for a call the JSON text of [args, kwargs]. expected: the output, or the result."""

    stdin: str
    expected: Any
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class CodeTests:
    """All tests of one problem, the smallest input first.

    function: the name to call with each test's arguments; None for programs that read their input and print.
    """

    tests: tuple[Test, ...]
    function: str | None
    compare: Comparison
    tolerance: float | None

    @staticmethod
    @lru_cache(maxsize=64)  # the responses to one problem arrive together
    def read(ground_truth: str) -> "CodeTests":
        """From the JSON text {"tests": [..], "function": name, "compare": how, "tolerance": number}, all but the tests
        optional. A test is {"stdin": text, "stdout": text}, or with a function {"args": [..], "kwargs": {..},
        "result": value}; `input` and `output` are read as `stdin` and `stdout`.

        Raises:
            ValueError: there is no test, or one of another kind or that is no data.
        """
        try:
            row = json.loads(ground_truth)
            function, compare = row.get("function"), row.get("compare") or "equal"
            tests = [_call(test) if function else _program(test) for test in row["tests"]]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(_MESSAGE.format(repr(error))) from error
        if not tests:
            raise ValueError(_MESSAGE.format("there are none."))
        if compare not in get_args(Comparison):
            raise ValueError(_MESSAGE.format(f"compare is {compare!r}, not one of {', '.join(get_args(Comparison))}."))
        tests.sort(key=lambda test: len(test.stdin))
        return CodeTests(tuple(tests), function, cast(Comparison, compare), row.get("tolerance"))


def _program(test: dict[str, Any]) -> Test:
    stdin = test["stdin"] if "stdin" in test else test["input"]
    stdout = test["stdout"] if "stdout" in test else test["output"]
    if not isinstance(stdin, str) or not isinstance(stdout, str):
        raise TypeError("input and output of a test are texts")
    return Test(stdin, stdout)


def _call(test: dict[str, Any]) -> Test:
    # The texts of the row go on as they are: tagged values are for the sandbox to read.
    args, kwargs = test.get("args", []), test.get("kwargs", {})
    return Test(json.dumps([args, kwargs]), values.loads(json.dumps(test["result"])), tuple(args))
