"""A problem whose answer is a program: its text, and its tests as plain data for the judge (`g2rl.verify.code`).

A row has `problem` and `tests`, and where there are any `function`, `starter_code`, `compare`, `tolerance`, `id` and
`subject`. Its tests are all `{"stdin": text, "stdout": text}` (or `input` and `output`), or all calls of the function
that it names, `{"args": [...], "kwargs": {...}, "result": value}`. The rows of every set are first turned into these.
"""

import json
from typing import Any, get_args

from g2rl.data.reading import Row
from g2rl.data.records import Record
from g2rl.verify.code.expected import Comparison

CODE_SYSTEM_PROMPT = (
    "Write a Python program that solves the problem, as one fenced code block that begins with ```python. "
    "Where the problem gives a function or starter code, complete it and call nothing. "
    "Otherwise read the input from standard input and print the answer to standard output."
)


def to_code_record(row: Row, max_tests: int | None = None) -> Record:
    """The record of one row; its answer is the judge's ground truth, a JSON text.

    Tests that are there twice are kept once. Of more than `max_tests` the ones with the longest inputs are kept, as
    DeepCoder does.

    Raises:
        ValueError: what is wrong with the row, in words that follow "row 7: ".
    """
    problem, function = row.get("problem"), row.get("function")
    if not isinstance(problem, str) or not problem.strip():
        raise ValueError("no 'problem'")
    tests = _tests(row.get("tests"))
    calls = "args" in tests[0]
    if calls and not (isinstance(function, str) and function.isidentifier()):
        raise ValueError("its tests are calls, so 'function' must name what they call")
    if not calls and function:
        raise ValueError("it has a 'function', but its tests are standard input and output")
    truth: dict[str, Any] = {"function": function} if calls else {}
    if (compare := row.get("compare")) is not None:
        if not calls or compare not in get_args(Comparison):
            raise ValueError(f"'compare' is {compare!r}; of calls it may be one of {', '.join(get_args(Comparison))}")
        truth["compare"] = compare
    if (tolerance := row.get("tolerance")) is not None:
        if calls or not isinstance(tolerance, int | float) or not 0 < tolerance < 1:
            raise ValueError(f"'tolerance' is {tolerance!r}; of printed output it may be a number between 0 and 1")
        truth["tolerance"] = tolerance
    truth["tests"] = longest(tests, max_tests)
    try:
        gold = json.dumps(truth, ensure_ascii=False, allow_nan=False)
    except ValueError:  # NaN and infinity
        raise ValueError('its tests hold values that JSON has not; write them as tags, {"float": "inf"}') from None
    extra = {key: str(row[key]) for key in ("id", "subject") if row.get(key) not in (None, "")}
    return Record(_question(problem.strip(), row.get("starter_code"), function), gold, extra)


def longest(tests: list[dict[str, Any]], count: int | None) -> list[dict[str, Any]]:
    """The `count` tests with the longest inputs, in their order; all where `count` is None."""
    if count is None or len(tests) <= count:
        return tests
    places = sorted(range(len(tests)), key=lambda place: -len(_input(tests[place])))[:count]
    return [tests[place] for place in sorted(places)]


def _tests(tests: Any) -> list[dict[str, Any]]:
    """The tests of a row, each with its standard names, different from each other, of one kind."""
    if not isinstance(tests, list) or not tests:
        raise ValueError("no test")
    results: dict[str, tuple[str, dict[str, Any]]] = {}
    kinds = set()
    for number, test in enumerate(tests):
        kind, test = _test(test, number)
        kinds.add(kind)
        result = json.dumps(test["stdout" if kind == "stdin" else "result"])
        earlier, _ = results.setdefault(_input(test), (result, test))
        if earlier != result:
            raise ValueError(f"two tests have the input of test {number} and different results")
    if len(kinds) > 1:
        raise ValueError("its tests are of both kinds, standard input and calls")
    return [test for _, test in results.values()]


def _test(test: Any, number: int) -> tuple[str, dict[str, Any]]:
    """(kind, test with its standard names and nothing else)."""
    if isinstance(test, dict):
        stdin, stdout = test.get("stdin", test.get("input")), test.get("stdout", test.get("output"))
        if isinstance(stdin, str) and isinstance(stdout, str):
            return "stdin", {"stdin": stdin, "stdout": stdout}
        args, kwargs = test.get("args"), test.get("kwargs", {})
        if isinstance(args, list) and isinstance(kwargs, dict) and "result" in test:
            return "args", {"args": args, **({"kwargs": kwargs} if kwargs else {}), "result": test["result"]}
    raise ValueError(f"test {number} is neither texts 'stdin' and 'stdout' nor a list 'args' and a 'result'")


def _input(test: dict[str, Any]) -> str:
    return test["stdin"] if "stdin" in test else json.dumps([test["args"], test.get("kwargs")])


def _question(problem: str, starter_code: Any, function: Any) -> str:
    """The text of the problem, with the starter code, or the function's name, where it does not hold them."""
    if isinstance(starter_code, str) and starter_code.strip():
        if starter_code.strip() in problem:
            return problem
        return f"{problem}\n\nComplete this code:\n\n```python\n{starter_code.rstrip()}\n```"
    if isinstance(function, str) and function not in problem:
        return f"{problem}\n\nThe function is called `{function}`."
    return problem
