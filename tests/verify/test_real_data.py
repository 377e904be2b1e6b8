"""The verifier on every answer of the real sets, in the folder that G2RL_TEST_DATA names."""

import contextlib
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from string import ascii_uppercase

import psutil
import pytest

from g2rl.data.reading import read_file
from g2rl.data.records import is_cut_off
from g2rl.verify import VerifierPool

DATA = os.environ.get("G2RL_TEST_DATA")
pytestmark = [pytest.mark.real_data, pytest.mark.skipif(not DATA, reason="G2RL_TEST_DATA is not set")]

MATHEMATICS = ["math500", "math_train", "aime24", "aime25", "amc", "gsm8k_train", "gsm8k_test", "dapo_math_17k"]
CHOICE = {"gpqa_diamond": 4, "mmlu_pro": 10}
TIMEOUT_S = 5.0

# (answer, gold) that math-verify works on without end, or until the memory is full, when it has no time limit.
ENDLESS = [
    (r"9^{9^{9^9}}", "x+1"), (r"10^7!", "3"), (r"\binom{10^9}{5\cdot 10^8}", "x+7"),
    (r"\binom{1000000000}{500000000}", "7"),
    (r"\lfloor 10^{10^8}\pi\rfloor", "3"), (r"\gcd(2^{10^9},3^{10^9})", "1"), (r"e^{e^{e^{e^{e}}}}", "1"),
    ("(" * 2000 + "1" + ")" * 2000, "2"), ("(x+y+z)^{300}-(x+y+z)^{299}", "1+x"),
    (r"\sum_{n=1}^{\infty}\frac{\sin n^3}{n^2}", "1"),
    ("x^{1000}+x^{999}y+y^{1000}=1", "x^{1000}=1"), (r"10^{10^{10}}", "10^{10^{9}}"), (r"2^{2^{2^{2^{2^2}}}}", "1"),
    (r"\sum_{k=1}^{10^9} \frac{1}{k^2}", "2"), (r"(x+1)^{100000}", "x^{100000}+1"), (r"(10^7)!", "1"),
]  # fmt: skip


def rows(name: str) -> list[dict]:
    (path,) = Path(DATA).glob(f"{name}.jsonl*")
    return read_file(path)


def golds(name: str) -> list[str]:
    """The gold answers that preparing the data keeps: `math_train` has 99 that are cut off (`\\frac{2\\sqrt{35`)."""
    return [answer for row in rows(name) if not is_cut_off(answer := row["answer"])]


@pytest.fixture(scope="module")
def pool():
    with VerifierPool(2, TIMEOUT_S) as pool:
        yield pool


def judged(pool: VerifierPool, pairs: list[tuple[str, str]], right: bool) -> list[tuple[str, str]]:
    """Those of the (answer, gold) pairs that are judged right, or wrong."""
    verdicts = pool.verify_many([(f"We get \\boxed{{{answer}}} in the end.", gold) for answer, gold in pairs])
    return [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.correct is right]


def otherwise_written(gold: str, rng: random.Random) -> str:
    changes = [
        lambda s: s.replace(r"\frac", r"\dfrac"),
        lambda s: f" {s} ",
        lambda s: f"${s}$" if "$" not in s else s,
        lambda s: s + ".",
        lambda s: s.replace("(", r"\left(").replace(")", r"\right)") if r"\left" not in s and r"\!" not in s else s,
        lambda s: s.replace(r"\left", "").replace(r"\right", ""),
        lambda s: s + ".0" if re.fullmatch(r"-?\d+", s) else s,
        lambda s: "0+" + s if re.fullmatch(r"\d+", s) else s,
        lambda s: f"x = {s}" if re.fullmatch(r"[\d\\{}a-z ]*", s) and "text" not in s else s,
    ]
    for change in rng.sample(changes, 2):
        gold = change(gold) if not gold.endswith((".", "$")) else gold
    return gold


@pytest.mark.parametrize("name", MATHEMATICS)
def test_gold_answers_in_another_writing_are_right(pool, name):
    rng = random.Random(0)
    sample = rng.sample(golds(name), min(1000, len(golds(name))))
    assert judged(pool, [(otherwise_written(gold, rng), gold) for gold in sample], right=False) == []


def changed(gold: str, rng: random.Random) -> list[str]:
    """Answers that a person would call wrong: another number in it, the other sign, the pair swapped, twice as much."""
    wrong = []
    numbers = [match for match in re.finditer(r"\d+", gold) if not re.search(r"[_^]\{?$", gold[: match.start()])]
    if numbers and "=" not in gold and r"\approx" not in gold:
        number = rng.choice(numbers)
        wrong.append(f"{gold[: number.start()]}{int(number.group()) + rng.choice([1, 2, 7])}{gold[number.end() :]}")
    if re.fullmatch(r"-?[\d,.]*[1-9][\d,.]*|-?\\d?frac\{\d+\}\{\d+\}", gold):
        wrong += [gold[1:] if gold.startswith("-") else "-" + gold, rf"2 \cdot ({gold})", rf"{gold} \text{{ million}}"]
    pair = re.fullmatch(r"(\\left)?\(([^,()]+),([^,()]+)\)", gold.replace(r"\right", ""))
    if pair and pair.group(2).strip() != pair.group(3).strip():
        wrong.append(f"({pair.group(3)},{pair.group(2)})")
    return [*wrong, "", gold + "0" if gold.isdigit() and gold != "0" else "17x^9 - 5"]


@pytest.mark.parametrize("name", MATHEMATICS)
def test_changed_answers_are_wrong(pool, name):
    rng = random.Random(0)
    sample = rng.sample(golds(name), min(400, len(golds(name))))
    pairs = [(answer, gold) for gold in sample for answer in changed(gold, rng)]
    assert len(pairs) > 2 * len(sample)
    assert judged(pool, pairs, right=True) == []


@pytest.mark.parametrize("name", CHOICE)
def test_every_option_letter(pool, name):
    for index, row in enumerate(rows(name)):
        gold, num_choices = row["answer"], len(row["choices"]) if "choices" in row else CHOICE[name]
        writing = [r"%s", r"\text{%s}", "(%s)", "%s.", r"\textbf{(%s) so}", "%s: because"][index % 6]
        others = [letter for letter in ascii_uppercase[:num_choices] if letter != gold]
        for letter, right in [(gold, True)] + [(letter, False) for letter in others[index % 9 :][:1]]:
            response = f"Not \\boxed{{Z}} but \\boxed{{{writing % letter}}}"
            verdict = pool.submit(response, gold, verifier="choice", num_choices=num_choices).result()
            assert (verdict.correct, verdict.answer) == (right, letter), (row["id"], response)


# In a process of its own: the tests' process may have mapped so much that the limit of memory bites at once, and
# math-verify passes over some errors for lack of memory.
WITHOUT_LIMIT = """
import resource, sys
from math_verify import parse, verify
print("ready", flush=True)
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
answer, gold = (parse(rf"\\boxed{{{text}}}", parsing_timeout=None, raise_on_error=True) for text in sys.argv[1:])
verify(gold, answer, timeout_seconds=None, raise_on_error=True)
"""


@pytest.mark.slow
def test_the_endless_inputs_are_endless_for_math_verify():
    """After ten seconds math-verify still computes, or has run into a limit of 2 GiB."""
    for pair in ENDLESS:
        command = [sys.executable, "-c", WITHOUT_LIMIT, *pair]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            still_running_or_failed = process.returncode != 0
            process.kill()
        assert still_running_or_failed, pair


@pytest.mark.slow
def test_hanging_answers_among_ordinary_ones():
    """16 endless inputs among 1,000 ordinary ones change no verdict, and cost at most what the limit allows them."""
    rng = random.Random(0)
    limit_s, num_workers = 2.0, 2
    answers = [gold for gold in golds("math_train") if not gold.isdigit()]
    ordinary = []
    for gold in rng.sample(answers, 1000):
        answer = gold if rng.random() < 0.5 else rng.choice(answers)
        ordinary.append((rf"so 1+{rng.randrange(9)}x-1, \boxed{{{answer}+0}}", gold))
    endless = [(rf"\boxed{{{answer}}}", gold) for answer, gold in ENDLESS]
    mixed = ordinary + endless
    order = rng.sample(range(len(mixed)), len(mixed))
    before = psutil.Process().children(recursive=True)
    with VerifierPool(num_workers, limit_s) as pool:
        pool.verify_many(ordinary[:50])
        start = time.perf_counter()
        alone = pool.verify_many(ordinary)
        seconds_alone = time.perf_counter() - start
        start = time.perf_counter()
        together = dict(zip(order, pool.verify_many([mixed[i] for i in order]), strict=True))
        seconds_together = time.perf_counter() - start
        processes = [process for process in psutil.Process().children(recursive=True) if process not in before]
    failures = sum(together[i].failure is not None for i in range(1000, len(mixed)))
    print(
        f"1,000 ordinary: {seconds_alone:.1f} s; with {len(endless)} endless ones: {seconds_together:.1f} s; "
        f"{failures} of those gave up, {sum(v.failure is not None for v in alone)} of the ordinary"
    )
    assert [together[i] for i in range(1000)] == alone
    assert not any(together[i].correct for i in range(1000, len(mixed)))
    assert seconds_together <= 2 * seconds_alone + len(endless) * limit_s / num_workers
    assert len(processes) == 1 + num_workers  # the server and its workers
    assert psutil.wait_procs(processes, timeout=10)[1] == []
