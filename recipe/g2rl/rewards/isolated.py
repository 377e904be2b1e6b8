"""A reward function that stands in the place of the user's and calls it where it cannot hang or end the run.

verl loads `compute_score` from this file as it would load the user's function, which `recipe.g2rl.rewards.selection`
put among its arguments. Each call runs in one of a few processes under a limit of time and memory. A call that fails
gets the score 0 and a verdict, "error", "timeout" or "crash", which the trainer counts; the log has the first of each
kind.

A coroutine of the user's (`async def`), which usually waits for a server, runs here, many at a time, under the limit of
time alone: code in it that blocks without awaiting stops the reward worker.
"""

import asyncio
import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import Future
from multiprocessing import Pipe
from typing import Any

from omegaconf import OmegaConf

from recipe.g2rl.rewards.process import load
from recipe.g2rl.saving.run_log import report

LOAD_LIMIT_S = 300.0

_lock = threading.Lock()
_scorers: dict[tuple[str, str], "Scorer"] = {}  # of this reward worker


async def compute_score(
    *, user_path: str, user_name: str, user_kwargs: dict, limits: dict, **arguments: Any
) -> dict[str, Any]:
    """The user's result as a dictionary, with `verdict` and `verify_seconds`."""
    with _lock:
        if (user_path, user_name) not in _scorers:
            _scorers[user_path, user_name] = Scorer(user_path, user_name, **limits)
        scorer = _scorers[user_path, user_name]
    start = time.perf_counter()
    plain_kwargs = OmegaConf.to_container(OmegaConf.create(user_kwargs))
    outcome, result = await scorer({**arguments, **plain_kwargs})  # type: ignore[dict-item]
    return scorer.as_extra_info(outcome, result) | {"verify_seconds": time.perf_counter() - start}


class Scorer:
    """The user's function, loaded and watched. Raises ValueError where it cannot be loaded."""

    def __init__(self, path: str, name: str, timeout_s: float, memory_mb: int, processes: int) -> None:
        self.path, self.name, self.timeout_s, self.memory_mb = path, name, timeout_s, memory_mb
        self._told: set[str] = set()  # kinds of failure that the user knows of
        self._keys: dict[str, Any] = {}  # of a result, with what stands for each in a failed one
        self._calls: queue.SimpleQueue[tuple[dict, Future]] = queue.SimpleQueue()
        first = _Child(path, name, memory_mb)
        self._coroutine = load(path, name) if first.is_coroutine else None
        if self._coroutine:
            first.end()
            return
        for child in [first, *(None for _ in range(processes - 1))]:
            threading.Thread(target=self._serve, args=(child,), daemon=True, name="reward function").start()

    async def __call__(self, arguments: dict) -> tuple[str, Any]:
        """("returned", the result), or how the call failed and why."""
        if self._coroutine:
            try:
                return "returned", await asyncio.wait_for(self._coroutine(**arguments), self.timeout_s)  # type: ignore
            except TimeoutError:
                return "timeout", f"no answer within {self.timeout_s:g} s"
            except Exception:
                return "error", traceback.format_exc()
        future: Future = Future()
        self._calls.put((arguments, future))
        return await asyncio.wrap_future(future)

    def as_extra_info(self, outcome: str, result: Any) -> dict[str, Any]:
        """What verl's reward managers take: `score` and whatever else there is to log."""
        if outcome != "returned":
            if outcome not in self._told:
                self._told.add(outcome)
                print(result, flush=True)
                last = result.strip().splitlines()[-1]
                report(f"{self.name} of {self.path}: {outcome}: {last}; counted under reward/, its response scores 0")
            return {**self._keys, "score": 0.0, "acc": 0.0, "verdict": outcome}
        info = {**result} if isinstance(result, dict) else {"score": result, "acc": result}
        info = {key: value.item() if hasattr(value, "item") else value for key, value in info.items()}
        info.setdefault("verdict", "scored")
        self._keys = {key: "" if isinstance(value, str) else 0.0 for key, value in info.items()}
        return info

    def _serve(self, child: "_Child | None") -> None:
        while True:
            arguments, future = self._calls.get()
            try:
                if child is None or child.gone:
                    child = _Child(self.path, self.name, self.memory_mb)
                future.set_result(child.call(arguments, self.timeout_s))
            except Exception as error:  # the function cannot be loaded any more, or the arguments cannot be sent
                future.set_exception(error)


class _Child:
    """One process with the function loaded."""

    def __init__(self, path: str, name: str, memory_mb: int) -> None:
        self.connection, theirs = Pipe()
        command = [sys.executable, "-P", "-m", "recipe.g2rl.rewards.process", str(theirs.fileno()), path, name]
        with theirs:
            self.process = subprocess.Popen(
                [*command, str(memory_mb)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(part or os.getcwd() for part in sys.path)},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the driver
            )
        self.gone = False
        outcome, answer = self._receive(LOAD_LIMIT_S)
        if outcome != "loaded":
            self.end()
            last = str(answer).strip().splitlines()[-1]
            raise ValueError(f"the reward function {name} of {path} could not be loaded: {last}.")
        self.is_coroutine = bool(answer)

    def call(self, arguments: dict, timeout_s: float) -> tuple[str, Any]:
        with contextlib.suppress(OSError):  # it has ended; its answer below says so
            self.connection.send(arguments)
        outcome, answer = self._receive(timeout_s)
        if outcome in ("timeout", "crash"):
            self.end()
        return ("error", answer) if outcome == "raised" else (outcome, answer)

    def end(self) -> None:
        self.gone = True
        self.connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _receive(self, timeout_s: float) -> tuple[str, Any]:
        try:
            if self.connection.poll(timeout_s):
                return self.connection.recv()
        except (EOFError, OSError):
            status = self.process.wait()
            return "crash", f"its process ended with status {status}"
        return "timeout", f"no answer within {timeout_s:g} s"


def check(path: str, name: str, memory_mb: int) -> None:
    """
    Raises:
        ValueError: the function cannot be loaded in a process of its own.
    """
    _Child(path, name, memory_mb).end()
