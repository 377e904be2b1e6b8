"""How fast are verdicts on MATH's training problems, against verl's own math-verify reward?

    python benchmarks/verify.py FOLDER        FOLDER holds math_train.jsonl: `problem` and `answer` on each line
    python benchmarks/verify.py FOLDER --before CHECKOUT        and against the verifier of another checkout

Both judge the same responses in the same run, in turns, with four worker processes each (verl's number, which is
fixed) and the same number of calls waiting. A response is the problem's text with a box at its end: for every other
problem the right answer, for the others the next problem's answer. `formulas` are the problems whose answer is no plain
number, so that a wrong answer cannot be told without algebra.

Columns: `verdicts_per_s`, `p50_ms` and `p99_ms` of the time from call to verdict, `mistakes` of the verdicts (against
how the responses were made; the next problem's answer may happen to be the same, and then counts as right).
`cpu_ms` is the CPU time of all processes for a verdict. Needs verl. Turns are alternated, so that what disturbs the
machine disturbs all. With `--before` this project's verifiers each run in a process of their own (`--as-server`).
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from tqdm import tqdm

from g2rl.verify import VerifierPool
from g2rl.verify.mathematics import compare_plain

PROCESSES = 4
CALLS_WAITING = 8
Judge = Callable[[str, str], bool]
Case = tuple[str, str, bool]  # response, gold, right


def cases(folder: Path, number: int, formulas_only: bool) -> list[Case]:
    rows = [json.loads(line) for line in (folder / "math_train.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["answer"].count("{") == row["answer"].count("}")]  # some are cut off
    if formulas_only:
        rows = [row for row in rows if compare_plain(row["answer"], "0") is None]
    rows = random.Random(0).sample(rows, number)
    made = []
    for i, (row, other) in enumerate(zip(rows, rows[1:] + rows[:1], strict=True)):
        answer = (row if i % 2 else other)["answer"]
        right = bool(i % 2) or row["answer"] == answer
        made.append((f"{row['problem']} Therefore the answer is \\boxed{{{answer}}}.", row["answer"], right))
    return made


def measure(name: str, judge: Judge, work: list[Case]) -> dict[str, object]:
    def timed(case: Case) -> tuple[float, bool]:
        start = time.perf_counter()
        verdict = judge(case[0], case[1])
        return time.perf_counter() - start, verdict

    start, cpu_before = time.perf_counter(), cpu_s()
    with ThreadPoolExecutor(CALLS_WAITING) as callers:
        results = list(tqdm(callers.map(timed, work), total=len(work), desc=name))
    total, cpu = time.perf_counter() - start, cpu_s() - cpu_before
    seconds, verdicts = zip(*results, strict=True)
    return {
        "verifier": name,
        "verdicts_per_s": round(len(work) / total, 1),
        "p50_ms": round(float(np.percentile(seconds, 50)) * 1000, 2),
        "p99_ms": round(float(np.percentile(seconds, 99)) * 1000, 1),
        "cpu_ms": round(cpu / len(work) * 1000, 2),
        "mistakes": sum(verdict != right for verdict, (_, _, right) in zip(verdicts, work, strict=True)),
    }


def cpu_s() -> float:
    """CPU seconds of this process and its descendants, those that have ended included."""
    own = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in (own, *own.children(recursive=True)))


def serve() -> None:
    """Measure this project's verifier, or that of the checkout in PYTHONPATH, on each line of cases."""
    with VerifierPool(PROCESSES) as pool:
        for line in sys.stdin:
            name, work = json.loads(line)
            print(json.dumps(measure(name, lambda *case: pool.submit(*case).result().correct, work)), flush=True)


class Verifier:
    """The verifier of a checkout, in a process of its own."""

    def __init__(self, name: str, checkout: Path):
        self.name = name
        self._server = subprocess.Popen(
            [sys.executable, __file__, "--as-server"],
            env=os.environ | {"PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, work: list[Case]) -> dict[str, object]:
        assert self._server.stdin and self._server.stdout
        print(json.dumps([self.name, work]), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--problems", type=int, default=1000, help="problems of each kind (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--before", type=Path, help="a checkout of this project")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    from verl.utils.reward_score.math_verify import compute_score

    judges: dict[str, Callable[[list[Case]], dict[str, object]]] = {
        "verl": lambda work: measure("verl", lambda response, gold: compute_score(response, gold) > 0, work),
        "g2rl": Verifier("g2rl", Path(__file__).parents[1]).measure,
    }
    if arguments.before:
        judges["before"] = Verifier("before", arguments.before).measure
    results = []
    for kind in ("all", "formulas"):
        work = cases(arguments.folder, arguments.problems, formulas_only=kind == "formulas")
        for turn in range(arguments.turns + 1):
            order = list(judges.values())
            for judge in order[turn % len(order) :] + order[: turn % len(order)]:  # nobody is always the first
                row = judge(work if turn else work[: 4 * PROCESSES])
                if turn:  # turn 0 starts the processes
                    results.append({"answers": kind, "problems": len(work), "turn": turn, **row})
                    print(results[-1])
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(results[0]))
        writer.writeheader()
        writer.writerows(results)
    for kind in ("all", "formulas"):
        cpu_ms = {
            name: np.mean([r["cpu_ms"] for r in results if (r["answers"], r["verifier"]) == (kind, name)])
            for name in judges
        }
        for other in judges.keys() - {"g2rl"}:
            print(
                f"{kind}: {cpu_ms[other] / cpu_ms['g2rl']:.2f} x the verdicts of {other} in the same CPU time (means)"
            )


if __name__ == "__main__":
    if sys.argv[1:] == ["--as-server"]:
        serve()
    else:
        main()
