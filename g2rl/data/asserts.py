"""Tests that are asserts, as HumanEval and MBPP have them, turned into data: what they call, and what comes back.

The asserts are run once with the reference solution, in the judge's sandbox; each call of the function that they test
becomes one test. Solutions are then compared with the reference's results, and no assert runs beside them.
"""

import functools
import json
import re
from typing import Any

from g2rl.verify.code import CodeSettings
from g2rl.verify.code.client import Sandbox
from g2rl.verify.code.isolation import confinement

TIMEOUT_S = 60.0
OUTPUT_BYTES = 16 << 20

# A function that the program is asked for. It records the outermost calls of {function} while it runs the asserts.
RECORDER = """

def recorded_calls():
    import copy, re

    function, calls, running = {function}, [], []

    def candidate(*args, **kwargs):
        if running:
            return function(*args, **kwargs)
        given = copy.deepcopy([list(args), kwargs])
        running.append(True)
        result = function(*args, **kwargs)
        running.pop()
        match = isinstance(result, re.Match)
        calls.append([*given, match or copy.deepcopy(result), match])
        return result

    exec({asserts!r}, {{**globals(), "candidate": candidate, **({{{function!r}: candidate}} if {by_name} else {{}})}})
    return calls
"""


def record(program: str, function: str, asserts: str, *, by_name: bool) -> dict[str, Any]:
    """`tests`, and `compare` where equality is not what the asserts ask for.

    Floats are compared to 1e-6, results inside `set(...)` without order. A match of a pattern counts as true.

    Args:
        program: the reference solution, with what the asserts need.
        asserts: call the function by its name (`by_name`), or as `candidate`.

    Raises:
        ValueError: the asserts fail, or the calls are no plain data.
        RuntimeError: there is no sandbox on this machine.
    """
    recorder = RECORDER.format(function=function, asserts=asserts, by_name=by_name)
    run = _sandbox().run(program + recorder, "[[], {}]", TIMEOUT_S, OUTPUT_BYTES, "recorded_calls")
    if run.ended != "normal" or run.output is None:
        last = (run.noise.strip().splitlines() or [""])[-1]
        raise ValueError(f"its asserts cannot be run with its solution: {run.ended} {last}".rstrip())
    calls = json.loads(run.output)
    found: dict[str, Any] = {"tests": [{"args": a, "kwargs": k, "result": result} for a, k, result, _ in calls]}
    if any(match for *_, match in calls):
        found["compare"] = "truth"
    elif any(_has_float(result) for _, _, result, _ in calls):
        found["compare"] = "approx"
    elif re.search(rf"\bset\(\s*{function}\(", asserts):
        found["compare"] = "unordered"
    return found


def _has_float(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_float, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float)


@functools.cache
def _sandbox() -> Sandbox:
    settings = CodeSettings()
    try:
        return Sandbox(settings, confinement(settings))
    except ValueError as error:
        raise RuntimeError(str(error)) from error
