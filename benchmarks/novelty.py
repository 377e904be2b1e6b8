"""How long the trainer takes to score and shape a step's rewards: under 50 ms for 4,096 responses on 2 cores?

    python benchmarks/novelty.py          prints the table and writes scoring.csv beside this file

"equal" are groups of 16, "unequal" groups of 8 to 24 in random order. Of 15 calls, wall time (median, best) and the
processor time of the cheapest call, which says least about what else the machine was doing. "growth" is that processor
time per doubling of the groups: 2.0 is linear. The last column is what logging the features' geometry costs.
"""

import csv
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from g2rl.geometry import geometry_metrics
from g2rl.novelty import exploration_scores
from g2rl.shaping import shape_rewards

HIDDEN = 2560  # Qwen3-4B
REPEATS = 15


def timed(function: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Wall and processor milliseconds of each call, both sorted."""
    function(), function()  # warm up
    wall, processor = [], []
    for _ in range(REPEATS):
        start, start_processor = time.perf_counter(), time.process_time()
        function()
        processor.append(1e3 * (time.process_time() - start_processor))
        wall.append(1e3 * (time.perf_counter() - start))
    return sorted(wall), sorted(processor)


def group_ids(groups: int, sizes: str) -> torch.Tensor:
    if sizes == "equal":
        return torch.arange(16 * groups) % groups
    counts = 8 + torch.arange(groups) % 17  # 16 on average
    ids = torch.arange(groups).repeat_interleave(counts)
    return ids[torch.randperm(len(ids))]


def machine() -> str:
    cpu_info = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in cpu_info if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores, torch {torch.__version__}"


def measure(threads: int, sizes: str, groups: int) -> dict[str, object]:
    torch.set_num_threads(threads)
    ids = group_ids(groups, sizes)
    features, rewards = torch.randn(len(ids), HIDDEN), torch.randint(0, 2, ids.shape) * 2.0 - 1
    wall, processor = timed(lambda: shape_rewards(rewards, exploration_scores(features, rewards, ids), ids))
    return {
        "machine": machine(),
        "threads": threads,
        "sizes": sizes,
        "groups": groups,
        "responses": len(ids),
        "hidden": HIDDEN,
        "median_ms": round(statistics.median(wall), 1),
        "best_ms": round(wall[0], 1),
        "processor_ms": round(processor[0], 1),
        "geometry_ms": round(timed(lambda: geometry_metrics(features, ids))[0][0], 1),
    }


def main() -> None:
    torch.manual_seed(0)
    rows: list[dict] = []
    columns = (
        "threads",
        "sizes",
        "groups",
        "responses",
        "median_ms",
        "best_ms",
        "processor_ms",
        "growth",
        "geometry_ms",
    )
    print(machine(), "  ".join(columns), sep="\n")
    for threads in (1, 2):
        for sizes in ("equal", "unequal"):
            last = None
            for groups in (64, 128, 256, 512):
                row = measure(threads, sizes, groups)
                row["growth"] = round(row["processor_ms"] / last, 2) if last else ""
                last = row["processor_ms"]
                rows.append(row)
                print("  ".join(f"{row[column]!s:>{len(column)}}" for column in columns), flush=True)
    with Path(__file__).with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["machine", "hidden", *columns])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
