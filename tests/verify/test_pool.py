"""The pool: nothing hangs it, nothing that fails changes another verdict, nothing is left behind."""

import asyncio
import random
import re
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from g2rl.verify import Verdict, VerifierPool, verify_choice, verify_math

TIMEOUT_S = 1.0
HANGS = (r"\boxed{9^{9^{9^9}}}", "x + 1")  # has more digits than any memory

OUT_OF_MEMORY = r"\boxed{\gcd(2^{10^9}, 3^{10^9})}"


@pytest.fixture(scope="module")
def pool():
    with VerifierPool(2, TIMEOUT_S) as pool:
        yield pool


def servers() -> set[psutil.Process]:
    """The warm processes of the pools that there are, whose children are the workers."""
    return {child for child in psutil.Process().children() if "g2rl.verify.fork_server" in child.cmdline()}


def survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    return psutil.wait_procs(processes, timeout=10)[1]


def test_verdicts_are_those_of_the_verifiers():
    pairs = [(r"\boxed{(x+1)^2}", "x^2+2x+1"), (r"\boxed{x}", "x+1"), ("no box", "1"), (r"\boxed{142}", "142.0")]
    with VerifierPool(2, 60.0) as pool:  # a busy machine is no time-out
        assert pool.verify_many(pairs) == [verify_math(*pair) for pair in pairs]
        for num_choices in (4, 1):
            verdict = pool.submit(r"\boxed{\text{(B)}}", "B", verifier="choice", num_choices=num_choices).result()
            assert verdict == verify_choice(r"\boxed{B}", "B", num_choices)
            assert verdict.correct == (num_choices == 4)


def test_a_hanging_answer_is_wrong_counted_and_costs_the_limit(pool):
    start = time.perf_counter()
    (verdict,) = pool.verify_many([HANGS])
    assert verdict == Verdict(False, "9^{9^{9^9}}", "timeout")
    assert TIMEOUT_S <= time.perf_counter() - start < TIMEOUT_S + 1


def test_order_is_kept_under_random_timeouts(pool):
    rng = random.Random(3)
    pairs = {i: (rf"\boxed{{{i}x + {i}}}", f"{i}(x+1)" if i % 2 else f"{i}(x+2)") for i in range(1, 61)}
    hanging = set(rng.sample(list(pairs), 4))
    verdicts = pool.verify_many(HANGS if i in hanging else pair for i, pair in pairs.items())
    for i, verdict in zip(pairs, verdicts, strict=True):
        if i in hanging:
            assert verdict.failure == "timeout"
        else:
            assert verdict == Verdict(bool(i % 2), f"{i}x + {i}")
    (server,) = servers()
    assert len(server.children()) <= 2


def test_a_worker_that_runs_out_of_memory_or_is_killed_is_replaced():
    ordinary, before = (r"\boxed{x+x}", "2x"), servers()
    with VerifierPool(1, 60.0, memory_mb=256) as pool:
        assert pool.verify_many([(OUT_OF_MEMORY, "y+1"), ordinary]) == [
            Verdict(False, OUT_OF_MEMORY[7:-1], "crash"),
            Verdict(True, "x+x"),
        ]
        for kill_server in (False, True):
            (server,) = servers() - before
            (worker,) = server.children()
            (server if kill_server else worker).kill()
            assert survivors([worker]) == [], "the worker outlived its server"
            assert pool.verify_many([ordinary]) == [Verdict(True, "x+x")]


def test_a_cancelled_comparison_is_dropped(pool):
    async def give_up_waiting() -> Verdict:
        hanging = [asyncio.wrap_future(pool.submit(*HANGS)) for _ in range(6)]
        last = asyncio.wrap_future(pool.submit(r"\boxed{x+x}", "2x"))
        await asyncio.sleep(0.2)
        for future in hanging:  # two are being compared
            future.cancel()
        return await last

    start = time.perf_counter()
    assert asyncio.run(give_up_waiting()).correct
    assert time.perf_counter() - start < 2 * TIMEOUT_S


def test_any_thread_and_asyncio(pool):
    pair = (r"\boxed{x+x}", "2x")
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(pool.verify_many([pair])[0].correct)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8

    async def ask() -> list[Verdict]:
        return await asyncio.gather(*(asyncio.wrap_future(pool.submit(*pair)) for _ in range(8)))

    assert all(verdict.correct for verdict in asyncio.run(ask()))


@pytest.mark.parametrize(
    "answer",
    ["x" * 2_000_000, "{" * 100_000, "a\0b", "\ud800", "😀" * 1000, "٣", "(" * 3000 + "1" + ")" * 3000, "\\", "%",
     "_", "1" * 10**5, r"\frac{1}{0}", "=", "<", r"\sqrt{", "x^", r"\begin{pmatrix}", "1e999999999", r"\text{" * 50,
     "\n" * 10_000],
    ids=lambda answer: ascii(answer[:12]),
)  # fmt: skip
def test_hostile_texts(pool, answer):
    for response, gold in [(rf"\boxed{{{answer}}}", "x+1"), (answer, "x+1"), (r"\boxed{x+1}", answer)]:
        start = time.perf_counter()
        verdict = pool.submit(response, gold).result()
        assert time.perf_counter() - start < TIMEOUT_S + 1
        assert not verdict.correct


# Pieces of LaTeX in random order reach further into the parser than random characters do.
CHARACTERS = "0123456789xyzei+-*/^_=<>(){}[],.;:!|% $&\\\n\0é"
COMMANDS = r"""\frac \sqrt \boxed{ \text{ \left( \right) \pi \infty \cup \sum_{k=1}^{9} \binom \begin{pmatrix}
\end{pmatrix} \\ \circ \pm \int \log \sin \int_0^1 10^{9} x_1 dx"""
LATEX = st.lists(st.sampled_from([*CHARACTERS, *COMMANDS.split()]), max_size=25).map("".join)
TEXT = LATEX | st.text(max_size=60)
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relaxed
@example(response="0", gold=r"\sqrt\frac", boxed=True)
@given(response=TEXT, gold=TEXT, boxed=st.booleans())
def test_no_input_raises_or_outlives_the_limit(pool, response, gold, boxed):
    start = time.perf_counter()
    verdict = pool.submit(rf"\boxed{{{response}}}" if boxed else response, gold).result()
    assert time.perf_counter() - start < TIMEOUT_S + 1
    assert isinstance(verdict.correct, bool)
    assert verdict.failure is None or not verdict.correct


@relaxed
@given(before=TEXT, after=st.text(alphabet=st.characters(exclude_characters="\\{}"), max_size=60), data=st.data())
def test_surrounding_text_changes_nothing(pool, before, after, data):
    gold, answer = data.draw(st.sampled_from([("(x+1)^2", "x^2+2x+1"), ("3", "4"), ("1/2", "0.5"), ("x", "x^2")]))
    box = rf"\boxed{{{answer}}}"
    before = before.rstrip("\\")  # a backslash in front of the box belongs to the box
    assert pool.submit(before + box + after, gold).result() == pool.submit(box, gold).result()


def test_close_leaves_no_process_and_refuses_work():
    before = servers()
    pool = VerifierPool(3, TIMEOUT_S)
    (server,) = servers() - before
    processes = [server, *server.children()]
    assert len(processes) == 4
    future = pool.submit(*HANGS)
    pool.close()
    assert future.result().failure == "timeout"
    assert survivors(processes) == []
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(r"\boxed{1}", "1")


def test_a_killed_owner_leaves_no_process():
    """SIGKILL to the pool's process, after which it can clean up nothing; one worker is idle, one is computing."""
    script = (
        "import time; from g2rl.verify import VerifierPool\n"
        "pool = VerifierPool(2, 600.0)\n"
        f"pool.submit({HANGS[0]!r}, {HANGS[1]!r}); time.sleep(0.5)\n"
        "print('computing', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "computing\n"
        processes = psutil.Process(owner.pid).children(recursive=True)
        assert len(processes) == 3
        owner.kill()
    assert survivors(processes) == []


def test_workers_load_nothing_of_the_caller(monkeypatch):
    """Neither torch nor Ray nor the caller's main script, and one thread, so that forking is safe."""
    (openmp,) = (Path(str(find_spec("torch").origin)).parent / "lib").glob("libgomp*")
    monkeypatch.setenv("LD_PRELOAD", str(openmp))  # as vLLM sets it on a CPU
    before = servers()
    with VerifierPool(1, TIMEOUT_S):
        (server,) = servers() - before
        assert server.num_threads() == 1
        assert not any(re.search(r"/(torch|ray|verl|numpy)/", file.path) for file in server.memory_maps())
        assert "pytest" not in " ".join(server.cmdline())


def test_settings_are_checked():
    with pytest.raises(ValueError, match="num_workers=0"):
        VerifierPool(0, 1.0)
    with pytest.raises(ValueError, match="must be positive"):
        VerifierPool(1, 0.0)
