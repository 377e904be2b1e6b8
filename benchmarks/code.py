"""How fast are programs judged, against verl's own prime_code reward?

    python benchmarks/code.py

Both judge the same responses in the same run, in turns, one program at a time. The programs read two integers and print
what depends on them: `right` ones pass 8 tests, `wrong` ones fail the first, `exception` ones raise at the first;
`mixed` is 60 % wrong, 28 % right and 12 % exception. `step` is 128 programs that are calls with 8 hidden pairs, as
task=programs has them, two at a time; only our judge runs it.

Columns: `programs_per_s` and `tests_per_s` (tests that were run, all 8 for a right program and 1 for the others) of
wall-clock time, `cpu_ms` of all processes for a program, `mistakes` of the verdicts. Needs verl.
"""

import argparse
import csv
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from g2rl.verify.code import CodePool, CodeSettings

PAIRS = [(a, b) for a in range(2, 6) for b in (10, 30)]
PRINTS = {
    "right": "a, b = map(int, input().split())\nprint(a * b + 1)",
    "wrong": "a, b = map(int, input().split())\nprint(a + b)",
    "exception": "a, b = map(int, input().split())\nprint(a // (b - b))",
}
CALL_RESULTS = {"right": "a * b + 1", "wrong": "a + b", "exception": "a // (b - b)"}
KINDS = {
    "right": ["right"],
    "wrong": ["wrong"],
    "mixed": ["wrong"] * 15 + ["right"] * 7 + ["exception"] * 3,
}
INPUTS = {"inputs": [f"{a} {b}\n" for a, b in PAIRS], "outputs": [f"{a * b + 1}\n" for a, b in PAIRS]}
TESTS = {"tests": [{"stdin": x, "stdout": y} for x, y in zip(INPUTS["inputs"], INPUTS["outputs"], strict=True)]}
CALLS = {"function": "f", "tests": [{"args": [a, b], "result": a * b + 1} for a, b in PAIRS]}


def measure(judge: Callable[[str], bool], work: list[str], name: str) -> dict[str, object]:
    start, before = time.perf_counter(), os.times()
    verdicts = [judge(f"```python\n{PRINTS[kind]}\n```") for kind in tqdm(work, desc=name)]
    return row(name, work, verdicts, time.perf_counter() - start, before)


def row(name: str, work: list[str], verdicts: list[bool], wall: float, before: os.times_result) -> dict[str, object]:
    cpu = sum(os.times()[:4]) - sum(before[:4])
    tests = sum(len(PAIRS) if kind == "right" else 1 for kind in work)
    return {
        "judge": name,
        "programs": len(work),
        "programs_per_s": round(len(work) / wall, 1),
        "tests_per_s": round(tests / wall, 1),
        "cpu_ms": round(cpu / len(work) * 1000, 2),
        "mistakes": sum(verdict != (kind == "right") for verdict, kind in zip(verdicts, work, strict=True)),
    }


def ours(work: list[str], workers: int, settings: CodeSettings, calls: bool) -> dict[str, object]:
    """The pool is closed before the clock of its processes is read; its start is no part of the wall-clock time."""
    texts = {kind: text if not calls else _call(kind) for kind, text in PRINTS.items()}
    ground_truth, before = json.dumps(CALLS if calls else TESTS), os.times()
    with CodePool(workers, settings) as pool:
        warm = [pool.submit(f"```python\n{texts['wrong']}\n```", ground_truth) for _ in range(workers)]
        [future.result() for future in warm]
        start = time.perf_counter()
        futures = [pool.submit(f"```python\n{texts[kind]}\n```", ground_truth) for kind in work]
        verdicts = [future.result().correct for future in tqdm(futures, desc="g2rl")]
        wall = time.perf_counter() - start
    return row("g2rl", work, verdicts, wall, before)


def _call(kind: str) -> str:
    return f"def f(a, b):\n    return {CALL_RESULTS[kind]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=100, help="programs of each kind (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    arguments = parser.parse_args()
    from verl.utils.reward_score.prime_code import compute_score

    def verl(response: str) -> bool:
        return compute_score(response, json.dumps(INPUTS), continuous=True)[0] == 1  # as verl calls it

    results: list[dict[str, object]] = []
    for turn in range(1, arguments.turns + 1):
        for kind, choice in KINDS.items():
            work = random.Random(turn).choices(choice, k=arguments.programs)
            for result in (ours(work, 1, CodeSettings(), calls=False), measure(verl, work, "verl")):
                results.append({"kind": kind, "turn": turn, **result})
                print(results[-1])
        work = random.Random(turn).choices(KINDS["mixed"], k=128)
        results.append({"kind": "step", "turn": turn, **ours(work, 2, CodeSettings(timeout_s=1), calls=True)})
        print(results[-1])
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(results[0]))
        writer.writeheader()
        writer.writerows(results)
    for kind in (*KINDS, "step"):
        rates = {
            name: np.median([r["programs_per_s"] for r in results if (r["kind"], r["judge"]) == (kind, name)])
            for name in ("g2rl", "verl")
            if any((r["kind"], r["judge"]) == (kind, name) for r in results)
        }
        print(f"{kind}: " + ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items()) + " programs a second")


if __name__ == "__main__":
    main()
