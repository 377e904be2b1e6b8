"""Worker processes that compare answers under a hard limit of time and memory.

Comparing two formulas symbolically can take for ever or all memory. So every comparison runs in a worker process with a
connection of its own; one that passes the limit is killed with SIGKILL and replaced by a fork of a warm server
(`fork_server.py`). One thread for each worker hands out the work and watches the clock, so the pool may be used from
any thread, from asyncio and from inside Ray actors.

Pebble's pool was the alternative. Each worker that it replaces imports sympy and the caller's main script (in a Ray
actor Ray, in a training script torch), which takes seconds, and one idle worker that dies breaks the whole pool.
"""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Literal

from g2rl.verify.boxes import last_boxed
from g2rl.verify.choice import verify_choice
from g2rl.verify.mathematics import compare_forms
from g2rl.verify.notation import normal_form
from g2rl.verify.verdict import Verdict

_START_LIMIT_S = 120.0  # importing sympy takes seconds, on a busy machine many


class VerifierPool:
    """Verifies responses in `num_workers` processes, each comparison within `timeout_s` seconds of wall-clock time.

    A comparison that passes the limit, or needs more than `memory_mb` MiB of address space, makes its verdict wrong,
    with the reason in `Verdict.failure`, and leaves all others as they are. The constructor returns when the workers
    are warm. Use the pool as a context manager or call `close`; its processes also end with the process it lives in,
    however that ends.

    Raises:
        ValueError: num_workers is below 1, or a limit is not positive.
        RuntimeError: the worker processes cannot be started.
    """

    def __init__(self, num_workers: int, timeout_s: float = 5.0, *, memory_mb: int = 1024):
        if num_workers < 1:
            raise ValueError(f"num_workers={num_workers}: a verifier pool needs at least 1 worker process.")
        if timeout_s <= 0 or memory_mb <= 0:
            raise ValueError(f"timeout_s={timeout_s} and memory_mb={memory_mb} are limits and must be positive.")
        self._timeout_s = timeout_s
        self._server = _Server(memory_mb << 20)
        self._tasks: queue.SimpleQueue[_Comparison | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        workers = [self._server.start_worker() for _ in range(num_workers)]
        self._threads = [
            threading.Thread(target=self._watch, args=(worker,), name="verifier", daemon=True) for worker in workers
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self, response: str, gold: str, *, verifier: str = "math", num_choices: int | None = None
    ) -> Future[Verdict]:
        """Judge one response, with `verify_math` or, for verifier "choice", `verify_choice`.

        The future never raises on account of what is in the texts. `asyncio.wrap_future` makes it awaitable.
        """
        if self._closed.is_set():
            raise RuntimeError("this VerifierPool is closed.")
        future: Future[Verdict] = Future()
        if verifier == "choice":
            future.set_result(verify_choice(response, gold, num_choices))
            return future
        answer = last_boxed(response)
        if answer is None:
            future.set_result(Verdict(False, None))
            return future
        gold_form, answer_form = normal_form(gold), normal_form(answer)
        plain, _ = compare_forms(gold_form, answer_form)
        if plain is not None:
            future.set_result(Verdict(plain, answer))
        else:
            self._tasks.put(_Comparison(gold_form.value, answer_form.value, answer, future))
        return future

    def verify_many(self, pairs: Iterable[tuple[str, str]]) -> list[Verdict]:
        """Judge (response, gold) pairs of mathematics; the verdicts come in the order of the pairs."""
        futures = [self.submit(response, gold) for response, gold in pairs]
        return [future.result() for future in futures]

    def close(self) -> None:
        """End the processes, once the comparisons that still wait are answered."""
        self._closed.set()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        self._server.close()

    def __enter__(self) -> "VerifierPool":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _watch(self, worker: "_Worker") -> None:
        """Hand comparisons to one worker, one at a time, until the pool closes; replace the worker when it is gone."""
        while (task := self._tasks.get()) is not None:
            if not task.future.set_running_or_notify_cancel():
                continue
            try:
                if worker.is_gone():
                    worker = self._server.start_worker()
            except RuntimeError as error:
                task.future.set_exception(error)
                continue
            outcome = worker.compare(task.gold_value, task.answer_value, self._timeout_s)
            failure = None if isinstance(outcome, bool) else outcome
            task.future.set_result(Verdict(outcome is True, task.answer, failure))
        worker.connection.close()


@dataclass
class _Comparison:
    gold_value: str  # the values of the normal forms
    answer_value: str
    answer: str
    future: Future[Verdict]


@dataclass
class _Worker:
    connection: Connection
    pid: int

    def is_gone(self) -> bool:
        """A worker says nothing unasked: what there is to read between two comparisons is the end of its connection."""
        return self.connection.closed or self.connection.poll()

    def compare(self, gold: str, answer: str, timeout_s: float) -> bool | Literal["timeout", "crash"]:
        try:
            self.connection.send((gold, answer))
            if self.connection.poll(timeout_s):
                return self.connection.recv()
        except (EOFError, OSError):
            self.connection.close()
            return "crash"
        os.kill(self.pid, signal.SIGKILL)
        self.connection.close()
        return "timeout"


class _Server:
    """The warm process that workers are forked from. Should it die, the next worker that is wanted starts a new one."""

    def __init__(self, memory_bytes: int):
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._launch()

    def start_worker(self) -> _Worker:
        with self._lock:
            for attempt in ("first", "last"):
                ours, theirs = Pipe()
                try:
                    with theirs:
                        socket.send_fds(self._control, [b"w"], [theirs.fileno()])
                    if ours.poll(_START_LIMIT_S):
                        return _Worker(ours, pid=ours.recv())
                except (EOFError, OSError):  # the server is dead
                    pass
                ours.close()
                if attempt == "first":
                    self.close()
                    self._launch()
        raise RuntimeError(
            "the verifier's processes cannot be started: `python -m g2rl.verify.fork_server` does not answer."
        )

    def close(self) -> None:
        self._control.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _launch(self) -> None:
        self._control, theirs = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "g2rl.verify.fork_server", str(theirs.fileno()), str(self._memory_bytes)],
                # Without LD_PRELOAD: vLLM on a CPU puts torch's OpenMP there once it runs in the caller's process.
                env={**environment, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the pool's process
            )
