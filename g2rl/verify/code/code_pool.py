"""Programs judged in parallel, each in a sandbox of its own."""

import logging
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from g2rl.verify.code import values
from g2rl.verify.code.blocks import last_program
from g2rl.verify.code.client import Run, Sandbox, probe
from g2rl.verify.code.code_settings import CodeSettings
from g2rl.verify.code.expected import same_output, same_value
from g2rl.verify.code.isolation import confinement
from g2rl.verify.code.tests import CodeTests, Test
from g2rl.verify.verdict import Verdict

_MAX_PROGRAM_BYTES = 256 << 10
_logger = logging.getLogger(__name__)


class CodePool:
    """Judges responses by running the program in them, `num_workers` at a time.

    A program is right when it passes all tests; it is run on the smallest input first, and no further than the first
    test it fails. Each test runs in a fresh, confined process. Use the pool as a context manager or call `close`; its
    processes also end with the process it lives in, however that ends.

    Raises:
        ValueError: num_workers is below 1, or this machine cannot confine programs as `settings` want it.
    """

    def __init__(self, num_workers: int, settings: CodeSettings | None = None):
        self._settings = settings or CodeSettings()
        self._threads = ThreadPoolExecutor(num_workers, thread_name_prefix="programs")
        _logger.info(probe(self._settings))
        self._confinement = confinement(self._settings)
        self._of_thread = threading.local()
        self._sandboxes: list[Sandbox] = []

    def submit(self, response: str, ground_truth: str) -> Future[Verdict]:
        """Judge one response by the tests in `ground_truth` (`CodeTests.read`).

        The future raises ValueError where the tests cannot be read and RuntimeError where the sandbox fails; nothing
        that is in the response makes it raise. `asyncio.wrap_future` makes it awaitable.
        """
        return self._threads.submit(self._judge, response, ground_truth)

    def verify_many(self, pairs: Iterable[tuple[str, str]]) -> list[Verdict]:
        """Judge (response, ground truth) pairs; the verdicts come in their order. Raises what `submit` names."""
        futures = [self.submit(response, ground_truth) for response, ground_truth in pairs]
        return [future.result() for future in futures]

    def close(self) -> None:
        """End the processes, once the programs that still wait are judged."""
        self._threads.shutdown()
        for sandbox in self._sandboxes:
            sandbox.close()

    def __enter__(self) -> "CodePool":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _judge(self, response: str, ground_truth: str) -> Verdict:
        tests, program = CodeTests.read(ground_truth), last_program(response)
        if program is None or not can_be_run(program):
            return Verdict(False, program)
        for outcome in outcomes(self._sandbox(), program, tests, self._settings):
            if not outcome.right:
                ended = outcome.run.ended
                return Verdict(False, program, None if ended == "normal" else ended)
        return Verdict(True, program)

    def _sandbox(self) -> Sandbox:
        """This thread's: the kernel ends a sandbox with the thread that started it."""
        if not hasattr(self._of_thread, "sandbox"):
            self._of_thread.sandbox = Sandbox(self._settings, self._confinement)
            self._sandboxes.append(self._of_thread.sandbox)
        return self._of_thread.sandbox


@dataclass(frozen=True)
class Outcome:
    test: Test
    run: Run
    right: bool


def can_be_run(program: str) -> bool:
    return "\0" not in program and len(program.encode("utf-8", "surrogatepass")) <= _MAX_PROGRAM_BYTES


def outcomes(sandbox: Sandbox, program: str, tests: CodeTests, settings: CodeSettings) -> Iterator[Outcome]:
    """Run one test after the other, until one of them has used up what `total_timeout_s` leaves it."""
    left = settings.total_timeout_s or float("inf")
    for test in tests.tests:
        if tests.function:
            longest = settings.output_mb << 20
        else:  # an output that is much too long is wrong unread
            longest = 2 * len(test.expected.encode("utf-8", "surrogatepass")) + (64 << 10)
        cpu_s = min(settings.timeout_s, left)
        run = sandbox.run(program, test.stdin, cpu_s, longest, tests.function, truth=tests.compare == "truth")
        yield Outcome(test, run, run.ended == "normal" and run.output is not None and _same(test, run.output, tests))
        left -= run.cpu_s
        if left <= 0:
            return


def _same(test: Test, output: bytes, tests: CodeTests) -> bool:
    try:
        if not tests.function:
            return same_output(test.expected, output.decode(), tests.tolerance)
        return same_value(test.expected, values.loads(output.decode()), tests.compare, test.args)
    except (ValueError, TypeError, RecursionError):  # not UTF-8, or no text of a value
        return False
