"""What one GPU can tell in a few minutes, the most valuable first: `bash scripts/check_gpu.sh [--minutes 10]`.

torch and triton are enough; what else a part needs and is not installed is named, and the part left out. Every part is
a process with a time limit and a line of result, and the JSON is written after each, so that being cut off leaves the
most. The tables of docs/performance.md are made from the JSON. `DRY_RUN=1` prints the plan, `--device cpu` runs what a
CPU can run.
"""

import argparse
import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from plan import Part, plan
from tables import write_tables

from g2rl.utils.files import atomic_file

ROOT = Path(__file__).parents[2]


@dataclass
class Result:
    part: str
    outcome: str  # passed, failed, cut off after N s, skipped: why
    seconds: float
    rows: list[dict]
    printed: str  # the end of it


def is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package around it
        return False


def run(part: Part, seconds_left: float) -> Result:
    if missing := [name for name in part.needs if not is_installed(name)]:
        return Result(part.name, f"skipped: {', '.join(missing)} not installed", 0.0, [], "")
    limit = min(part.limit_s, seconds_left)
    if limit < 1:
        return Result(part.name, "skipped: no time left", 0.0, [], "")
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        command = [sys.executable, *part.command, *(["--out", str(table)] if part.has_table else [])]
        start = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | dict(part.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            printed, _ = process.communicate(timeout=limit)
            outcome = "passed" if process.returncode == 0 else f"failed with status {process.returncode}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
            outcome = f"cut off after {limit:.0f} s"
        rows = list(csv.DictReader(table.open())) if table.exists() else []
    return Result(part.name, outcome, round(time.monotonic() - start, 1), rows, printed[-4000:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "check_gpu.json")
    parser.add_argument("--tables", type=Path, help="the page whose tables are replaced; default docs/performance.md")
    args = parser.parse_args()
    parts = plan(args.device)
    if os.environ.get("DRY_RUN") == "1":
        for part in parts:
            print(f"{part.name:32} at most {part.limit_s:4} s   {' '.join(part.command)}")
        return 0
    deadline = time.monotonic() + 60 * args.minutes
    results: list[Result] = []
    for part in parts:
        print(f"{part.name:32} ", end="", flush=True)
        results.append(run(part, deadline - time.monotonic()))
        with atomic_file(args.out) as path:
            path.write_text(json.dumps([vars(result) for result in results], indent=1) + "\n")
        print(f"{results[-1].outcome} ({results[-1].seconds} s)", flush=True)
        if results[-1].outcome.startswith("failed"):
            print(results[-1].printed)
    page = args.tables or (ROOT / "docs" / "performance.md" if args.device == "cuda" else None)
    if page:
        write_tables(args.out, page)
    return int(any(result.outcome.startswith("failed") for result in results))


if __name__ == "__main__":
    sys.exit(main())
