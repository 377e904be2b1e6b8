"""Verdicts on programs, kept in a file: one may take a minute, and a scoring that was killed goes on from them."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from g2rl.data.tests_files import resolve
from g2rl.evaluation.samples import whole_lines
from g2rl.verify import Verdict
from g2rl.verify.code import CodePool, CodeSettings, probe

WAITING = 64  # programs handed to the pool at once; each brings its tests, which may be megabytes


class Program(NamedTuple):
    """A response, and the ground truth as the benchmark's row holds it."""

    response: str
    gold: str


def program_id(program: str) -> str:
    """What stands for a program in results: 16 hexadecimal digits of its hash."""
    return hashlib.sha256(program.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class VerdictLog:
    """JSON-lines file of verdicts, appended to as they come. A last line that a kill has cut off is dropped.

    A verdict belongs to the hash of the response, its ground truth and the judge's settings, so one of other tests or
    other limits is not taken over. Its `answer` is the `program_id`.
    """

    def __init__(self, path: Path, judge: Mapping[str, Any]):
        self._judge = json.dumps(judge, sort_keys=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        lines = whole_lines(path)
        os.ftruncate(self._file, len(lines))
        self._verdicts: dict[str, Verdict] = {}
        for number, line in enumerate(lines.splitlines(), start=1):
            try:
                row = json.loads(line)
                key = row.pop("hash")
                self._verdicts[key] = Verdict(**row)
            except (ValueError, TypeError, KeyError, AttributeError):
                raise ValueError(f"{path}, line {number}: not a verdict; remove the line and run again.") from None

    def key(self, program: Program) -> str:
        return hashlib.sha256("\0".join([self._judge, *program]).encode("utf-8", "surrogatepass")).hexdigest()

    def get(self, key: str) -> Verdict | None:
        return self._verdicts.get(key)

    def add(self, key: str, verdict: Verdict) -> None:
        if verdict.answer is not None:
            verdict = replace(verdict, answer=program_id(verdict.answer))
        self._verdicts[key] = verdict
        os.write(self._file, json.dumps({"hash": key, **asdict(verdict)}).encode() + b"\n")

    def __enter__(self) -> "VerdictLog":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def judge_facts() -> dict[str, Any]:
    """What verdicts on programs depend on beside the tests: interpreter, isolation, limits.

    Raises:
        ValueError: programs cannot be confined on this machine.
    """
    settings = CodeSettings()
    limits = asdict(settings)
    del limits["workers"]
    return {"sandbox": probe(settings), **limits}


class CodeJudge:
    """A pool that judges the programs of one benchmark, and the file that remembers its verdicts.

    Args:
        facts: `judge_facts()`.
    """

    def __init__(self, pool: CodePool, facts: Mapping[str, Any], path: Path):
        self.facts = facts
        self._pool, self._path = pool, path

    def judge(self, programs: Sequence[Program], folder: Path) -> list[Verdict]:
        """The verdict on each program; one that is in the file, or came before, is not judged again.

        Args:
            folder: of the benchmark's parquet file, where long lists of tests are.

        Raises:
            RuntimeError: the judge itself failed. What was judged until then is in the file.
        """
        with VerdictLog(self._path, self.facts) as log:
            keys = [log.key(program) for program in programs]
            missing = {key: p for key, p in zip(keys, programs, strict=True) if log.get(key) is None}
            running: dict[Future[Verdict], str] = {}
            with tqdm(total=len(missing), desc="running programs", unit=" programs", disable=None) as progress:
                while missing or running:
                    while missing and len(running) < WAITING:
                        key, program = next(iter(missing.items()))
                        del missing[key]
                        running[self._pool.submit(program.response, resolve(program.gold, [folder]))] = key
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        log.add(running.pop(future), future.result())
                        progress.update()
            return [verdict for key in keys if (verdict := log.get(key)) is not None]
