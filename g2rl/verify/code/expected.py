"""Is what a program printed, or what a function returned, what the test expects?"""

import math
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

Comparison = Literal["equal", "approx", "unordered", "truth", "root"]
_CLOSE = 1e-6  # absolute or relative, EvalPlus' rule


def same_output(expected: str, printed: str, tolerance: float | None = None) -> bool:
    """LiveCodeBench's rule: blanks around the text and around each line do not count; then the lines must be as many,
    and each one equal, or all its words equal as decimal numbers (1.0 is 1).

    tolerance: how far, absolutely or relatively, a number may be off where the expected one has a point or an exponent.
    """
    expected_lines, printed_lines = expected.strip().split("\n"), printed.strip().split("\n")
    return len(expected_lines) == len(printed_lines) and all(
        _same_line(one.strip(), other.strip(), tolerance)
        for one, other in zip(expected_lines, printed_lines, strict=True)
    )


def _same_line(expected: str, printed: str, tolerance: float | None) -> bool:
    if expected == printed:
        return True
    expected_words, printed_words = expected.split(), printed.split()
    return len(expected_words) == len(printed_words) and all(
        _same_number(one, other, tolerance) for one, other in zip(expected_words, printed_words, strict=True)
    )


def _same_number(expected: str, printed: str, tolerance: float | None) -> bool:
    try:
        one, other = Decimal(expected), Decimal(printed)
        if one == other or tolerance is None or not any(mark in expected for mark in ".eE"):
            return one == other
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    except (InvalidOperation, OverflowError):
        return False


def same_value(expected: Any, result: Any, compare: Comparison, args: tuple[Any, ...]) -> bool:
    """Both are plain data (`values.loads`). A list may come as a tuple; where a tuple is expected, it must be one.

    equal:     `==`, and NaN is NaN.
    approx:    the same, with floats within 1e-6, absolutely or relatively.
    unordered: the same set of elements.
    truth:     both true or both false, as `bool` has it.
    root:      the result is a zero of the polynomial with the coefficients args[0], lowest first (HumanEval/32).
    """
    try:
        if compare == "truth":
            return bool(expected) == bool(result)
        if compare == "root":
            return isinstance(result, (int, float)) and abs(sum(c * result**i for i, c in enumerate(args[0]))) < 1e-4
        if compare == "unordered" and isinstance(expected, Iterable) and isinstance(result, Iterable):
            return {_frozen(item) for item in expected} == {_frozen(item) for item in result}
        return _same(expected, result, approx=compare == "approx")
    except (OverflowError, RecursionError):  # a result too large to be compared as a float, or too deep
        return False


def _same(expected: Any, result: Any, approx: bool) -> bool:
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(result, tuple if isinstance(expected, tuple) else (list, tuple))
            and len(expected) == len(result)
            and all(_same(one, other, approx) for one, other in zip(expected, result, strict=True))
        )
    if isinstance(expected, dict):
        return (
            isinstance(result, dict)
            and expected.keys() == result.keys()
            and all(_same(one, result[key], approx) for key, one in expected.items())
        )
    if isinstance(expected, float) and isinstance(result, (int, float)):
        if approx:
            return math.isclose(expected, result, rel_tol=_CLOSE, abs_tol=_CLOSE) or expected != expected != result
        return expected == result or (expected != expected and result != result)
    return bool(expected == result)


def _frozen(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return frozenset((key, _frozen(item)) for key, item in value.items())
    return frozenset(value) if isinstance(value, set) else value
