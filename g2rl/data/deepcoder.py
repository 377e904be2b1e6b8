"""DeepCoder's problems, whose tests come in three shapes, since they come from three collections.

TACO: `{"inputs": [...], "outputs": [...]}`, of calls with `fn_name`.
PrimeIntellect: a list of `{type, input, output}`, of calls with `fn_name`.
LiveCodeBench and Codeforces: a list of `{input, output, testtype}`, of calls with `func_name` in the `metadata` of the
row or the test.
"""

import json
from typing import Any

from g2rl.data.livecodebench import functional
from g2rl.data.reading import Row

TOLERANCE = 1e-6  # of printed decimals, as TACO's and PrimeIntellect's own checkers allow


def convert(row: Row) -> Row:
    """A row of the hub as a row of `code_jsonl`.

    Raises:
        KeyError: a column is missing.
        ValueError: the tests have none of the three shapes.
    """
    shaped = _decoded(row["tests"])
    found: dict[str, Any] = {"problem": row["problem"], "starter_code": row.get("starter_code")}
    if isinstance(shaped, dict):
        pairs = _pairs(shaped.get("inputs"), shaped.get("outputs"))
        return found | _collected(pairs, shaped.get("fn_name"))
    if not isinstance(shaped, list) or not all(isinstance(test, dict) for test in shaped):
        raise ValueError("its tests are neither a dictionary nor a list of dictionaries")
    if not all("input" in test and "output" in test for test in shaped):
        raise ValueError("a test has no 'input' or no 'output'")
    if any("type" in test for test in shaped):
        names = {test.get("fn_name") for test in shaped}
        if len(names) > 1 or len({test.get("type") for test in shaped}) > 1:
            raise ValueError("its tests are of different types or call different functions")
        return found | _collected([(test["input"], test["output"]) for test in shaped], names.pop())
    kinds = {test.get("testtype") == "functional" for test in shaped}
    if len(kinds) > 1:
        raise ValueError("its tests are of both kinds, standard input and calls")
    if kinds != {True}:
        return found | {"tests": shaped}
    name = _decoded(row.get("metadata") or {}).get("func_name") or (shaped[0].get("metadata") or {}).get("func_name")
    return found | {"function": name, "tests": [functional(test["input"], test["output"]) for test in shaped]}


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"its tests or metadata are not JSON ({error})") from None


def _pairs(inputs: Any, outputs: Any) -> list[tuple[Any, Any]]:
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise ValueError("'inputs' and 'outputs' of its tests are not two lists of one length")
    return list(zip(inputs, outputs, strict=True))


def _collected(pairs: list[tuple[Any, Any]], function: str | None) -> dict[str, Any]:
    """TACO's and PrimeIntellect's tests. There a text may be a list of lines, and a result is in a list of one."""
    if not function:
        tests = [{"stdin": _text(given), "stdout": _text(expected)} for given, expected in pairs]
        return {"tolerance": TOLERANCE, "tests": tests}
    if all(isinstance(given, str) and isinstance(expected, str) for given, expected in pairs):
        return {"function": function, "tests": [functional(given, expected) for given, expected in pairs]}
    wrapped = all(isinstance(expected, list) and len(expected) == 1 for _, expected in pairs)
    tests = [{"args": given, "result": expected[0] if wrapped else expected} for given, expected in pairs]
    return {"function": function, "tests": tests}


def _text(value: Any) -> Any:
    return "\n".join(map(str, value)) if isinstance(value, list) else value
