"""HumanEval+ (arXiv 2305.01210): its tests are a program that holds the inputs and the results as literal lists."""

import ast
import json
from typing import Any

from g2rl.data.sets import Row


def convert_plus(row: Row) -> Row:
    """A row of `evalplus/humanevalplus` as a row of `code_jsonl`. Nothing of it is run.

    EvalPlus compares floats with a tolerance of 1e-6, and checks the zero of a polynomial, which one problem asks for,
    by its residual.

    Raises:
        KeyError: a column is missing.
        ValueError: inputs or results are not literals.
    """
    lists = _literals(row["test"], ("inputs", "results"))
    function = row["entry_point"]
    pairs = zip(lists["inputs"], lists["results"], strict=True)
    return {
        "id": row["task_id"],
        "problem": complete(row["prompt"]),
        "function": function,
        "compare": "root" if function == "find_zero" else "approx",
        "tests": [{"args": [to_json(value) for value in args], "result": to_json(result)} for args, result in pairs],
    }


def complete(prompt: str) -> str:
    return f"Complete the following Python function.\n\n```python\n{prompt.rstrip()}\n```"


def _literals(program: str, names: tuple[str, ...]) -> dict[str, list[Any]]:
    """The values that a program assigns to these names, where they are literals."""
    found = {}
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in names:
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                raise ValueError(f"{node.targets[0].id!r} of its tests is not a literal") from None
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"its tests hold no {missing[0]!r}: they compute what they expect")
    return found


def to_json(value: Any) -> Any:
    """A Python value as JSON; what JSON has not becomes a tag, as in `{"tuple": [1, 2]}`."""
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [to_json(item) for item in value]}
    if isinstance(value, set | frozenset):
        return {"set": sorted((to_json(item) for item in value), key=json.dumps)}
    if isinstance(value, dict):
        return {"dict": [[to_json(key), to_json(item)] for key, item in value.items()]}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"float": repr(value)}
    return value


def convert(row: Row) -> Row:
    raise NotImplementedError


def convert_mbpp(row: Row) -> Row:
    raise NotImplementedError
