"""How fast are programs judged, against verl's own prime_code reward?

    python benchmarks/programs.py

Both judge the same responses in the same run, in turns, one program at a time. The programs read two integers and print
what depends on them: `right` ones pass 8 tests, `wrong` ones fail the first, `exception` ones raise at the first;
`mixed` is 60 % wrong, 28 % right and 12 % exception. `step` is 128 programs that are calls with 8 hidden pairs, as
task=programs has them, two at a time; only our judge runs it.

Columns: `programs_per_s` and `tests_per_s` (tests that were run, all 8 for a right program and 1 for the others) of
wall-clock time; `cpu_ms`, the CPU time of all processes for a program, which what else the machine does disturbs less;
`mistakes` of the verdicts. The start of our pool is no part of either. Needs verl.
"""

import argparse
import csv
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tqdm import tqdm

from g2rl.verify.code import CodePool, CodeSettings

PAIRS = [(a, b) for a in range(2, 6) for b in (10, 30)]
PRINTS = {
    "right": "a, b = map(int, input().split())\nprint(a * b + 1)",
    "wrong": "a, b = map(int, input().split())\nprint(a + b)",
    "exception": "a, b = map(int, input().split())\nprint(a // (b - b))",
}
FUNCTIONS = {
    "right": "def f(a, b):\n    return a * b + 1",
    "wrong": "def f(a, b):\n    return a + b",
    "exception": "def f(a, b):\n    return a // (b - b)",
}
KINDS = {
    "right": ["right"],
    "wrong": ["wrong"],
    "mixed": ["wrong"] * 15 + ["right"] * 7 + ["exception"] * 3,
}
INPUTS = {"inputs": [f"{a} {b}\n" for a, b in PAIRS], "outputs": [f"{a * b + 1}\n" for a, b in PAIRS]}
TESTS = {"tests": [{"stdin": x, "stdout": y} for x, y in zip(INPUTS["inputs"], INPUTS["outputs"], strict=True)]}
CALLS = {"function": "f", "tests": [{"args": [a, b], "result": a * b + 1} for a, b in PAIRS]}
Row = dict[str, Any]


def cpu_s() -> float:
    """CPU seconds of this process and its descendants, those that have ended included."""
    own = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in (own, *own.children(recursive=True)))


def measure(judge: Callable[[list[str]], Iterator[bool]], texts: dict[str, str], work: list[str], name: str) -> Row:
    """judge: responses -> their verdicts, as they come."""
    responses = [f"```python\n{texts[kind]}\n```" for kind in work]
    start, cpu_before = time.perf_counter(), cpu_s()
    verdicts = list(tqdm(judge(responses), total=len(work), desc=name))
    wall, cpu = time.perf_counter() - start, cpu_s() - cpu_before
    tests = sum(len(PAIRS) if kind == "right" else 1 for kind in work)
    return {
        "judge": name,
        "programs": len(work),
        "programs_per_s": round(len(work) / wall, 1),
        "tests_per_s": round(tests / wall, 1),
        "cpu_ms": round(cpu / len(work) * 1000, 2),
        "mistakes": sum(verdict != (kind == "right") for verdict, kind in zip(verdicts, work, strict=True)),
    }


def ours(texts: dict[str, str], work: list[str], tests: object, workers: int, settings: CodeSettings) -> Row:
    ground_truth = json.dumps(tests)
    with CodePool(workers, settings) as pool:

        def judge(responses: list[str]) -> Iterator[bool]:
            futures = [pool.submit(response, ground_truth) for response in responses]
            return (future.result().correct for future in futures)

        measure(judge, texts, ["wrong"] * 4 * workers, "start")
        return measure(judge, texts, work, "g2rl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=100, help="programs of each kind (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    from verl.utils.reward_score.prime_code import compute_score

    def verl(responses: list[str]) -> Iterator[bool]:
        inputs = json.dumps(INPUTS)
        return (compute_score(response, inputs, continuous=True)[0] == 1 for response in responses)  # as verl calls it

    results: list[Row] = []
    for turn in range(1, arguments.turns + 1):
        for kind, choice in KINDS.items():
            work = random.Random(turn).choices(choice, k=arguments.programs)
            for result in (ours(PRINTS, work, TESTS, 1, CodeSettings()), measure(verl, PRINTS, work, "verl")):
                results.append({"kind": kind, "turn": turn, **result})
                print(results[-1])
        work = random.Random(turn).choices(KINDS["mixed"], k=128)
        step = ours(FUNCTIONS, work, CALLS, 2, CodeSettings(timeout_s=1))
        results.append({"kind": "step", "turn": turn, **step})
        print(results[-1])
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(results[0]))
        writer.writeheader()
        writer.writerows(results)
    for kind in (*KINDS, "step"):
        rows = [row for row in results if row["kind"] == kind]
        for judge in sorted({row["judge"] for row in rows}):
            rate = 1000 / np.median([row["cpu_ms"] for row in rows if row["judge"] == judge])
            print(f"{kind}: {judge} judges {rate:.1f} programs a CPU second")


if __name__ == "__main__":
    main()
