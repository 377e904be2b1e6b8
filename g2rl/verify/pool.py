r"""Worker processes that compare answers under a hard limit of time and memory.

Comparing two formulas symbolically can take for ever or all memory, inside C code that no signal interrupts. So every
comparison runs in a worker process of its own connection; one that passes the limit is killed with SIGKILL and replaced
by a fork of a warm server (`worker.py`). One thread a worker hands out the work and watches the clock, so the pool may
be used from any thread, from asyncio and from inside Ray actors.

Pebble's pool was the alternative. Its workers import the caller's main script (in a Ray actor: Ray; in a script: torch)
and sympy each time one is replaced, it waits three seconds for a worker stuck in C code, and one idle worker that dies
takes the whole pool with it.
"""

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Literal

from g2rl.verify.boxes import last_boxed
from g2rl.verify.choice import verify_choice
from g2rl.verify.mathematics import compare_plain
from g2rl.verify.verdict import Verdict

_Outcome = bool | Literal["timeout", "crash"]  # the result of a comparison, or why there is none


class VerifierPool:
    """Verifies responses in `num_workers` processes, none for longer than `timeout_s` seconds (wall clock).

    memory_mb limits the address space of each worker. The constructor returns when the workers are warm. Use it as a
    context manager or call `close`; when the process dies without either, its workers die with it.
    """

    def __init__(self, num_workers: int, timeout_s: float = 5.0, *, memory_mb: int = 1024):
        if num_workers < 1:
            raise ValueError(f"num_workers must be at least 1, got {num_workers}.")
        if timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, got {timeout_s}.")
        self._timeout_s = timeout_s
        self._memory_bytes = memory_mb << 20
        self._fork_lock = threading.Lock()
        self._control, child_end = socket.socketpair()
        with child_end:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "g2rl.verify.worker", str(child_end.fileno())],
                pass_fds=[child_end.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._tasks: queue.SimpleQueue = queue.SimpleQueue()
        workers = [self._start_worker() for _ in range(num_workers)]
        self._workers = [_Worker(connection, connection.recv()) for connection in workers]
        self._threads = [
            threading.Thread(target=self._watch, args=(worker,), name="verifier", daemon=True)
            for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, response: str, gold: str, *, verifier: str = "math", num_choices: int = 10) -> Future[Verdict]:
        """Judge one response. `asyncio.wrap_future` makes the result awaitable."""
        future: Future[Verdict] = Future()
        if verifier == "choice":
            future.set_result(verify_choice(response, gold, num_choices))
            return future
        answer = last_boxed(response)
        plain = False if answer is None else compare_plain(gold, answer)
        if plain is not None:
            future.set_result(Verdict(plain, answer))
            return future

        def finish(outcome: _Outcome) -> None:
            if isinstance(outcome, bool):
                future.set_result(Verdict(outcome, answer))
            else:
                future.set_result(Verdict(False, answer, outcome))

        self._tasks.put((("equal", gold, answer), finish))
        return future

    def verify_many(self, pairs: Iterable[tuple[str, str]]) -> list[Verdict]:
        """Judge (response, gold) pairs of mathematics; the verdicts come in their order."""
        futures = [self.submit(response, gold) for response, gold in pairs]
        return [future.result() for future in futures]

    def close(self) -> None:
        """End the workers. Comparisons still waiting are answered first."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        self._control.close()
        self._server.wait()

    def __enter__(self) -> "VerifierPool":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _start_worker(self) -> Connection:
        ours, theirs = Pipe()
        with self._fork_lock, theirs:
            socket.send_fds(self._control, [b"%15d" % self._memory_bytes], [theirs.fileno()])
        return ours

    def _watch(self, worker: "_Worker") -> None:
        """Hand comparisons to one worker, one at a time, until the pool closes; replace the worker when it fails."""
        while (task := self._tasks.get()) is not None:
            comparison, finish = task
            outcome: _Outcome
            try:
                worker.connection.send(comparison)
                outcome = worker.connection.recv() if worker.connection.poll(self._timeout_s) else "timeout"
            except (EOFError, OSError):
                outcome = "crash"
            if not isinstance(outcome, bool):
                worker.kill()
                connection = self._start_worker()
                worker.connection, worker.pid = connection, connection.recv()
            finish(outcome)
        worker.connection.close()


class _Worker:
    def __init__(self, connection: Connection, pid: int):
        self.connection = connection
        self.pid = pid

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.connection.close()
