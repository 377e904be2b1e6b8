"""HumanEval (arXiv 2107.03374), HumanEval+ (2305.01210), MBPP (2108.07732): functions to write, tested by calls.

Each `convert` turns a row of the hub into a row of `code_jsonl`. KeyError: a column is missing. ValueError: the tests
cannot be used.
"""

import ast
import json
from typing import Any

from g2rl.data.asserts import record
from g2rl.data.reading import Row
from g2rl.verify.code import values

ROOT = "find_zero"  # asks for a zero of a polynomial: any is right, so its residual is checked


def convert(row: Row) -> Row:
    """A row of `openai/openai_humaneval`."""
    function = row["entry_point"]
    program = f"{row['prompt']}{row['canonical_solution']}\n{row['test']}"
    return {
        "id": row["task_id"],
        "problem": _complete(row["prompt"]),
        "function": function,
        **record(program, function, "check(candidate)", by_name=False),
        **({"compare": "root"} if function == ROOT else {}),
    }


def convert_mbpp(row: Row) -> Row:
    """A row of `google-research-datasets/mbpp`, whole or sanitized."""
    asserts, code = list(row["test_list"]), row["code"]
    text = row["text"] if "text" in row else row["prompt"]
    setup = "\n".join([row.get("test_setup_code") or "", *(row.get("test_imports") or [])])
    function = _tested(asserts[0], code)
    return {
        "id": f"mbpp/{row['task_id']}",
        "problem": f"{text.strip()}\n\nYour code should pass this test:\n\n{asserts[0]}",
        "function": function,
        **record(f"{setup}\n{code}", function, "\n".join(asserts), by_name=True),
    }


def _complete(prompt: str) -> str:
    return f"Complete the following Python function.\n\n```python\n{prompt.rstrip()}\n```"


def _tested(check: str, program: str) -> str:
    """The function of the program that an assert calls."""
    defined = {node.name for node in ast.walk(ast.parse(program)) if isinstance(node, ast.FunctionDef)}
    called = [node.func for node in ast.walk(ast.parse(check)) if isinstance(node, ast.Call)]
    names = [node.id for node in called if isinstance(node, ast.Name) and node.id in defined]
    if not names:
        raise ValueError("its first assert calls no function of its solution")
    return names[0]


def convert_plus(row: Row) -> Row:
    """A row of `evalplus/humanevalplus`, whose tests hold inputs and results as literal lists: nothing is run.

    EvalPlus compares floats with a tolerance of 1e-6.
    """
    lists = _literals(row["test"], ("inputs", "results"))
    function = row["entry_point"]
    pairs = zip(lists["inputs"], lists["results"], strict=True)
    return {
        "id": row["task_id"],
        "problem": _complete(row["prompt"]),
        "function": function,
        "compare": "root" if function == ROOT else "approx",
        "tests": [{"args": [_to_json(value) for value in args], "result": _to_json(result)} for args, result in pairs],
    }


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


def _to_json(value: Any) -> Any:
    """A literal as the judge reads it; what JSON has not is tagged, as in `{"tuple": [1, 2]}`."""
    return json.loads(values.dumps(value))
