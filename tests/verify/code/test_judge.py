"""What is right and what is wrong: cheats, the choice of the program, comparison, values, limits, ground truths."""

# ruff: noqa: E501

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2rl.verify import Verdict
from g2rl.verify.code import CodePool, CodeSettings, values
from g2rl.verify.code.blocks import last_program
from g2rl.verify.code.expected import same_output, same_value
from g2rl.verify.code.tests import CodeTests

CALL = {"function": "f", "tests": [{"args": [2], "result": 5}, {"args": [10], "result": 13}]}
PRINT = {"tests": [{"stdin": "2", "stdout": "5"}, {"stdin": "10", "stdout": "13"}]}
LIAR = "class Liar({base}):\n    __eq__ = __ne__ = __lt__ = lambda *a: True\n    __hash__ = None\n"
# Each tries to be right without knowing the answer.
CALL_CHEATS = {
    "equal to everything": LIAR.format(base="object") + "f = lambda n: Liar()",
    "equal to everything, a number": LIAR.format(base="int") + "f = lambda n: Liar(0)",
    "equal to everything, a list": LIAR.format(base="list") + "f = lambda n: Liar()",
    "says it is a number": "class A:\n    __class__ = int\n    __eq__ = lambda *a: True\nf = lambda n: A()",
    "NaN": "f = lambda n: float('nan')",
    "generator": "def f(n): yield 5",
    "exit status 0": "import os\ndef f(n): os._exit(0)",
    "sys.exit": "import sys\ndef f(n): sys.exit(0)",
    "the caller's variables": "import sys\ndef f(n):\n    frame = sys._getframe()\n    while frame:\n        for name in "
    "('expected', 'result', 'test'):\n            if name in frame.f_locals: return frame.f_locals[name]\n"
    "        frame = frame.f_back",
    "replaces the comparison": "import builtins, json, operator\nbuiltins.all = builtins.any = lambda *a: True\n"
    "operator.eq = lambda *a: True\njson.loads = json.dumps = lambda *a, **k: 'true'\nf = lambda n: 0",
    "not defined": "print(5)",
    "a decorator that is left open": "f = lambda n: 0\n@f",
    "a result written by hand": "import os\ndef f(n):\n    os.write(3, b'not JSON, {[')\n    return 5",
    "remembers the test before": "import os\nt = [5]\ndef f(n): return t.pop()",
}
PRINT_CHEATS = {
    "prints nothing": "pass",
    "every answer": "print(5); print(13)",
    "the caller's variables": "import sys\nframe = sys._getframe()\nwhile frame:\n    print(frame.f_locals.get('expected'))"
    "\n    frame = frame.f_back",
    "a close number": "n = int(input()); print(n + 3.00001)",
    "the other sign": "n = int(input()); print(-n - 3)",
    "exits": "import os; os._exit(0)",
}


@pytest.fixture(scope="module")
def pool():
    with CodePool(2, CodeSettings(timeout_s=1, total_timeout_s=2)) as pool:
        yield pool


def judge(pool, program, ground_truth) -> Verdict:
    return pool.submit(f"So:\n```python\n{program}\n```", json.dumps(ground_truth)).result()


@pytest.mark.parametrize("program", CALL_CHEATS.values(), ids=list(CALL_CHEATS))
def test_cheats_in_calls_are_wrong(pool, program):
    assert judge(pool, "def f(n): return n + 3", CALL).correct
    assert (
        not judge(pool, program, {**CALL, "tests": [{"args": [2], "result": 5}] * 2}).correct
        or program == CALL_CHEATS["remembers the test before"]
    )
    assert not judge(pool, program, CALL).correct


@pytest.mark.parametrize("program", PRINT_CHEATS.values(), ids=list(PRINT_CHEATS))
def test_cheats_in_printing_are_wrong(pool, program):
    assert judge(pool, "print(int(input()) + 3)", PRINT).correct
    assert not judge(pool, program, PRINT).correct


@pytest.mark.parametrize(
    "program",
    ["class Solution:\n    def f(self, n): return n + 3", "class Solution: pass\ndef f(n): return n + 3",
     "import numpy as np\nf = lambda n: np.int64(n) + 3", "seen = []\ndef f(n):\n    seen.append(n)\n    return n + 2 + len(seen)",
     "def f(n):\n    print('debugging', n)\n    return n + 3", "def f(n): return n + 3\nif __name__ == '__main__': print(f(int(input())))"],
)  # fmt: skip
def test_right_functions(pool, program):
    assert judge(pool, program, CALL) == Verdict(True, program)


def test_a_function_of_the_prelude_is_no_answer(pool):
    gcd = {"function": "gcd", "tests": [{"args": [4, 6], "result": 2}]}
    assert judge(pool, "pass", gcd).failure == "error"
    assert judge(pool, "from math import gcd", gcd).correct


@pytest.mark.parametrize("number", ["import random; {}(random.random())", "import numpy as np; {}(np.random.random())"])
def test_random_numbers_are_the_same_in_every_test(pool, number):
    seeded = {"random": random.Random(0).random(), "numpy": np.random.RandomState(0).random()}
    expected = str(seeded["numpy" if "numpy" in number else "random"])
    tests = {"tests": [{"stdin": text, "stdout": expected} for text in ("", "again", "and again")]}
    assert judge(pool, number.format("print"), tests).correct


def test_the_block_that_counts():
    def block(text, tag="python"):
        return f"```{tag}\n{text}\n```\n"

    assert last_program(block("a") + "b\n" + block("c", "PY") + block("out", "text") + block("d", "")) == "c"
    assert last_program(block("a", "") + block("b", "") + block("c", "text")) == "b"
    assert last_program(block("a") + "<think>" + block("b") + "</think> I give up") is None
    assert last_program("```python\na") is None and last_program("print(1)") is None
    assert last_program("```python\nnever closed\n```python\nb\n```") == "b"
    assert last_program("````python\n```\na\n```\n````") == "```\na\n```"
    assert last_program('```python\n"""\n    ```python\n    ```\n"""\n```') == '"""\n    ```python\n    ```\n"""'
    assert last_program("```python\r\na\r\n```\r\n").strip() == "a"


EQUAL_OUTPUTS = [("3", "3\n\n"), ("1 2", "1  2"), ("1", "1.0"), ("1000", "1e3"), ("5", "+5"), ("a\nb", " a \nb  \n"), ("x\ty", "x\ty"),
                 ("-0", "0"), ("", "\n"), ("a\r\nb", "a\nb")]  # fmt: skip
OTHER_OUTPUTS = [("a\nb", "a\n\nb"), ("a b", "a  b"), ("YES", "yes"), ("1 2", "2 1"), ("0.33333333333", "0.3333333333"), ("0.3", "0.30000000000000004"),
                 ("-1000001", "-1000000"), ("1.00000", "1.00001"), ("nan", "NaN"), ("sNaN", "1"), ("1", "1_1"), ("1", "one"), ("3", "3 3"), ("3", "")]  # fmt: skip


def test_outputs():
    assert [pair for pair in EQUAL_OUTPUTS if not (same_output(*pair) and same_output(*pair[::-1]))] == []
    assert [pair for pair in OTHER_OUTPUTS if same_output(*pair) or same_output(*pair[::-1])] == []
    assert same_output("0.3 5", "0.3000001 5", 1e-6) and not same_output("0.3 5", "0.3 5.0000001", 1e-6)
    assert not same_output("1.5", "1.51", 1e-6) and not same_output("1.5", "nan", 1e-6)


@given(st.text("01.e -\nab", max_size=30), st.text(" \n\t", max_size=5))
def test_blanks_at_the_end_change_nothing(text, blanks):
    assert same_output(text, text + blanks) and same_output(text + blanks, text)


@pytest.mark.parametrize(
    ("expected", "result", "compare", "same"),
    [
        ([1, 2], (1, 2), "equal", True), ((1, 2), [1, 2], "equal", False), ([(1,)], [[1]], "equal", False),
        (1, 1.0, "equal", True), (True, 1, "equal", True), ({1}, [1], "equal", False), ({1, 2}, frozenset({2, 1}), "equal", True),
        ({"a": (1,)}, {"a": [1]}, "equal", False), ({"a": 1}, {"a": 1, "b": 2}, "equal", False), (math.nan, math.nan, "equal", True),
        (0.3, 0.1 + 0.2, "equal", False), ([0.3], [0.1 + 0.2], "approx", True), (1.0, 1.00001, "approx", False),
        (1.0, 10**400, "approx", False), ([1.0], [None], "approx", False), ([1, 2, 2], (2, 1), "unordered", True),
        ([1, 2], [1, 3], "unordered", False), ([[1], [2]], [[2], [1]], "unordered", True), (True, "yes", "truth", True),
        (True, [], "truth", False), (-5.0, 5.0, "root", False), (-5.0, -5.0000001, "root", True), (0.0, "a", "root", False),
        (0.0, 1e300, "root", False), (None, None, "equal", True), (0, None, "equal", False), (0, "", "equal", False),
    ],
)  # fmt: skip
def test_values_are_compared(expected, result, compare, same):
    assert same_value(expected, result, compare, ([-10, -2],)) is same


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
HASHABLE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3)
)
VALUES = st.recursive(
    SCALARS | st.sets(HASHABLE, max_size=3) | st.integers(0, 9).map(lambda n: 3**10_000 + n) | st.just({"tuple": 1}),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(HASHABLE | st.just("set"), inner, max_size=4)
    ),
    max_leaves=15,
)


@settings(deadline=None)
@given(VALUES)
def test_values_survive_the_way_out_of_the_sandbox(value):
    back = values.loads(values.dumps(value))
    assert type(back) is type(value) and back == value


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_random_bytes_as_a_program_never_raise(pool, program):
    text = program.decode("utf-8", "surrogateescape")
    assert not judge(pool, text, {"tests": [{"stdin": "", "stdout": "no such output"}]}).correct


def test_limits(pool):
    burn = "import time\nwhile time.process_time() < 0.8: pass\nprint(int(input()) + 3)"
    assert judge(pool, burn, PRINT).correct
    three = {"tests": [{"stdin": str(n), "stdout": str(n + 3)} for n in (2, 10, 11)]}
    assert judge(pool, burn, three).failure == "timeout"  # 2 s for all of them
    assert judge(pool, "#" * (257 << 10), PRINT).failure is None
    assert not judge(pool, "print('x' * 100_000)", PRINT).correct


def test_verdicts_do_not_depend_on_workers_or_order():
    rng = random.Random(0)
    kinds = {
        "print(int(input()) + 3)": (True, None),
        "print(5)": (False, None),
        "1 / 0": (False, "error"),
        "import os; os.abort()": (False, "crash"),
    }
    work = rng.choices(list(kinds), k=60)
    for num_workers in (1, 3):
        with CodePool(num_workers, CodeSettings(timeout_s=5)) as pool:
            verdicts = [pool.submit(f"```\n{program}\n```", json.dumps(PRINT)) for program in work]
            assert [(v.result().correct, v.result().failure) for v in verdicts] == [kinds[program] for program in work]
        rng.shuffle(work)


def test_a_busy_machine_is_no_timeout():
    """18 programs that need 0.35 s of CPU, six at a time under a limit of 1 s."""
    burn = "```python\nimport time\nwhile time.process_time() < 0.35: pass\nprint(int(input()) + 3)\n```"
    with CodePool(6, CodeSettings(timeout_s=1)) as pool:
        verdicts = [pool.submit(burn, json.dumps({"tests": PRINT["tests"][:1]})) for _ in range(18)]
        assert all(verdict.result().correct for verdict in verdicts)


@pytest.mark.parametrize(
    ("ground_truth", "message"),
    [
        ("no JSON", "JSONDecodeError"), ("[]", "AttributeError"), ('{"tests": []}', "there are none"), ("{}", "KeyError"),
        ('{"tests": [{"args": [1], "result": 1}]}', "'input'"), ('{"function": "f", "tests": [{"stdin": "", "stdout": ""}]}', "'result'"),
        ('{"tests": [{"stdin": 1, "stdout": "1"}]}', "texts"), ('{"tests": [{"stdin": "", "stdout": ""}], "compare": "like"}', "like"),
        ('{"function": "f", "tests": [{"args": [], "result": {"set": [[1]]}}]}', "unhashable"),
    ],
)  # fmt: skip
def test_tests_that_cannot_be_read_raise(pool, ground_truth, message):
    with pytest.raises(ValueError, match=message):
        pool.submit("```python\npass\n```", ground_truth).result()


def test_the_smallest_input_comes_first():
    tests = {"tests": [{"input": "long input", "output": "1"}, {"input": "short", "output": "2"}]}
    assert [test.stdin for test in CodeTests.read(json.dumps(tests)).tests] == ["short", "long input"]


def test_settings_are_checked():
    with pytest.raises(ValueError, match="timeout_s=0"):
        CodeSettings(timeout_s=0)
    with pytest.raises(ValueError, match="isolation is 'maybe'"):
        CodeSettings(isolation="maybe")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no interpreter 'python9'"):
        CodePool(1, CodeSettings(python="python9"))
