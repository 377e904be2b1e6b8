"""What the token_pass benchmarks share: time, peak memory, the machine's name, one table and one CSV."""

import csv
import ctypes
import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

VOCABULARY = 151_936
HIDDEN = {"Qwen3-0.6B": 1024, "Qwen3-1.7B": 2048, "Qwen3-4B": 2560}  # heads of the Qwen3 models


def machine(device: str) -> str:
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    cpu_info = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in cpu_info if line.startswith("model name")), platform.machine())
    return f"{name}, {torch.get_num_threads()} of {os.cpu_count()} cores, torch {torch.__version__}"


def milliseconds(run: Callable[[], object], device: str) -> tuple[float, float]:
    """Elapsed time, and on a CPU the processor time of all threads: other programs disturb it far less."""
    if device == "cpu":
        start, start_processor = time.perf_counter(), time.process_time()
        run()
        return 1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - start_processor)
    start_event, end_event = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start_event.record()
    run()
    end_event.record()
    torch.cuda.synchronize()
    return start_event.elapsed_time(end_event), 0.0


def peak_megabytes(run: Callable[[], object], device: str) -> float:
    """Memory a run needs on top of its inputs: the allocator's peak on CUDA, resident memory on a CPU (Linux)."""
    gc.collect()
    if device == "cuda":
        run()  # cuBLAS takes its workspace at its first call and keeps it
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again here
    before = _status_megabytes("VmRSS")
    run()
    return _status_megabytes("VmHWM") - before


def _status_megabytes(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 2**10


def compare(variants: dict[str, Callable[[], object]], repeats: int, device: str) -> dict[str, dict[str, float]]:
    """Milliseconds and peak memory of each variant, run in turns so that disturbances hit all of them alike."""
    results: dict[str, dict[str, float]] = {}
    times: dict[str, list[tuple[float, float]]] = {}
    for name, run in variants.items():
        try:
            results[name] = {"peak_MB": round(peak_megabytes(run, device))}  # also the warm-up
            times[name] = []
        except Exception as error:  # memory, or a competitor's kernel that this device cannot compile: an empty row
            print(f"{name}: {type(error).__name__}: {str(error)[:500]}", file=sys.stderr)
            results[name] = {}
    for turn in range(repeats):
        for name in times:
            show_progress(f"turn {turn + 1} of {repeats}: {name}")
            times[name].append(milliseconds(variants[name], device))
    show_progress("")
    for name, measured in times.items():
        elapsed, processor = zip(*measured, strict=True)
        results[name] |= {"median_ms": round(statistics.median(elapsed), 2), "best_ms": round(min(elapsed), 2)}
        if device == "cpu":
            results[name]["processor_ms"] = round(min(processor), 2)
    return results


def show_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<70}", end="", file=sys.stderr, flush=True)


def report(rows: list[dict], path: Path, device: str) -> None:
    """Print the rows as a Markdown table and write them as CSV, the machine in a column of its own."""
    columns = list(rows[0])
    print(f"\n{machine(device)}\n\n| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(row.get(column, "")) for column in columns) + " |")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["machine", *columns], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({"machine": machine(device)} | row for row in rows)
    print(f"\nwritten to {path}")
