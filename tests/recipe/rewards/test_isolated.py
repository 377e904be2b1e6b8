"""A reward function of the user's own: what it returns, how it fails, and that the next call is right."""

import asyncio
import re
import signal
import subprocess
import sys

import psutil
import pytest
from omegaconf import OmegaConf

from recipe.g2rl.rewards import isolated

FUNCTIONS = """
import asyncio, os, time
import numpy as np
def score(data_source, solution_str, ground_truth, extra_info=None, bonus=0.0):
    if solution_str == "raise":
        raise KeyError("no such field")
    if solution_str == "leave":
        os._exit(3)
    if solution_str == "exit":
        raise SystemExit(0)
    if solution_str == "hang":
        while True:
            pass
    if solution_str == "eat":
        return len(bytearray(10**11))
    if solution_str == "dict":
        return {"score": np.float64(0.5), "acc": True, "pred": "7"}
    return float(solution_str == ground_truth) + bonus
waiting = 0
async def waits(data_source, solution_str, ground_truth, extra_info=None):
    global waiting
    waiting += 1
    await asyncio.sleep(600 if solution_str == "hang" else 0.2)
    return waiting / int(solution_str)
"""


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    path = tmp_path_factory.mktemp("user") / "reward.py"
    path.write_text(FUNCTIONS)
    limits = OmegaConf.create({"timeout_s": 1.0, "memory_mb": 512, "processes": 1})

    def call(*solutions: str, name: str = "score", **kwargs) -> list[dict]:
        async def together():
            calls = [
                isolated.compute_score(
                    user_path=str(path),
                    user_name=name,
                    user_kwargs=OmegaConf.create(kwargs),
                    limits=limits,
                    data_source="mine",
                    solution_str=solution,
                    ground_truth="2",
                    extra_info={},
                )
                for solution in solutions
            ]
            return await asyncio.gather(*calls)

        return asyncio.run(together())

    return call


def test_results_are_the_users(call):
    right, wrong = call("2", "3")
    assert (right["score"], right["acc"], right["verdict"], wrong["score"]) == (1.0, 1.0, "scored", 0.0)
    assert call("2", bonus=0.5)[0]["score"] == 1.5
    result = call("dict")[0]
    assert result.pop("verify_seconds") > 0
    assert result == {"score": 0.5, "acc": True, "pred": "7", "verdict": "scored"}
    assert isinstance(result["score"], float)


@pytest.mark.parametrize(
    ("solution", "verdict"),
    [("raise", "error"), ("exit", "error"), ("eat", "error"), ("leave", "crash"), ("hang", "timeout")],
)
def test_a_call_that_fails_is_counted_and_the_next_is_right(call, solution, verdict):
    _, failed, after = call("dict", solution, "2")
    assert (failed["verdict"], failed["score"], failed["acc"]) == (verdict, 0.0, 0.0)
    assert failed["pred"] == "" and (after["score"], after["verdict"]) == (1.0, "scored")


def test_coroutines_wait_together(call):
    results = call(*["1"] * 50, "0", "hang", name="waits")
    assert [result["score"] for result in results[:50]] == [52.0] * 50
    assert [result["verdict"] for result in results[50:]] == ["error", "timeout"]


def test_a_function_that_cannot_be_loaded_is_one_sentence(tmp_path):
    path = tmp_path / "reward.py"
    path.write_text("import no_such_module")
    with pytest.raises(ValueError, match=r"score of .*reward.py could not be loaded: ModuleNotFoundError: No module"):
        isolated.check(str(path), "score", 512)
    path.write_text("os = 1")
    with pytest.raises(ValueError, match="AttributeError: module 'reward' has no attribute 'score'"):
        isolated.check(str(path), "score", 512)


def test_its_processes_end_with_the_worker(tmp_path):
    (tmp_path / "reward.py").write_text("import os\ndef score(**_): return os.getpid()")
    script = f"""
import asyncio, os, signal
from recipe.g2rl.rewards.isolated import Scorer
print(asyncio.run(Scorer({str(tmp_path / "reward.py")!r}, "score", 5.0, 512, 1)({{}})), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    worker = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert worker.returncode == -signal.SIGKILL, worker.stderr
    pid = int(re.search(r"'returned', (\d+)", worker.stdout)[1])
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
    assert not psutil.pid_exists(pid)
