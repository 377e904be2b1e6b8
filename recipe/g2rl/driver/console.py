"""What a user sees of a run: one line a step on the terminal, everything else in the log file.

The trainer lives in a Ray actor. What it wants seen it prints behind a mark (`report`); the launcher sends all output,
its own and Ray's, to `train.log`, and `Console` shows the marked lines of that file and a progress bar on the terminal.
"""

import json
import os
import re
import sys
import threading
from pathlib import Path

from tqdm import tqdm

MARK = "[g2rl]"
METRICS_FILE = "metrics.jsonl"
LOG_FILE = "train.log"

# label, metric, format: the line of a step; a metric that a run does not have is left out
STEP_LINE = [
    ("reward", "critic/score/mean", "{:+.3f}"),
    ("pass", "reward/pass_rate", "{:.1%}"),
    ("cosine", "exploration/cosine_mean", "{:+.3f}"),
    ("negative", "exploration/negative_pair_share", "{:.1%}"),
    ("score", "exploration/score_mean", "{:.3f}"),
    ("entropy", "actor/entropy", "{:.3f}"),
    ("length", "response_length/mean", "{:.0f}"),
    ("time", "timing_s/step", "{:.1f}s"),
]


def report(text: str) -> None:
    """Print a line that reaches the user's terminal, from any process of the run."""
    print(f"{MARK} {text}", flush=True)


class RunLog:
    """A verl logger: appends each step to `metrics.jsonl` and reports it in one line."""

    def __init__(self, run_dir: str, total_steps: int) -> None:
        self.total_steps = total_steps
        self.file = open(Path(run_dir) / METRICS_FILE, "a")  # noqa: SIM115  (closed by finish)

    def log(self, data: dict, step: int) -> None:
        values = {name: float(value) for name, value in data.items() if _is_number(value)}
        self.file.write(json.dumps({"step": step, "data": values}) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        parts = [f"{label} {form.format(values[name])}" for label, name, form in STEP_LINE if name in values]
        validated = {name.removeprefix("val/"): values[name] for name in values if re.search("^val/.*pass@1$", name)}
        parts += [f"{name} {value:.1%}" for name, value in validated.items()]
        report(f"step {step}/{self.total_steps}  " + "  ".join(parts))

    def finish(self) -> None:
        self.file.close()


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


class Console:
    """While open, the process's output goes to the log file, and its marked lines and a step bar to the terminal."""

    def __init__(self, log_path: Path, total_steps: int | None = None) -> None:
        self.log_path = log_path
        self.done = threading.Event()

    def __enter__(self) -> "Console":
        sys.stdout.flush()
        sys.stderr.flush()
        self.saved = os.dup(1), os.dup(2)
        self.terminal = os.fdopen(os.dup(1), "w", buffering=1)
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        start = os.lseek(log, 0, os.SEEK_END)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        self.bar = tqdm(desc="training", unit="step", file=self.terminal, disable=None, leave=False)
        self.thread = threading.Thread(target=self._follow, args=(start,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.done.set()
        self.thread.join()
        self.bar.close()
        for saved, fd in zip(self.saved, (1, 2), strict=True):
            os.dup2(saved, fd)
            os.close(saved)

    def show(self, text: str) -> None:
        self.bar.write(text, file=self.terminal)

    def _follow(self, start: int) -> None:
        with open(self.log_path, "rb") as log:
            log.seek(start)
            last_round = False
            while not last_round:
                last_round = self.done.wait(0.2)
                while (line := log.readline()).endswith(b"\n"):
                    if MARK.encode() in line:
                        self._show_report(line.decode(errors="replace").split(MARK, 1)[1].strip())
                log.seek(-len(line), os.SEEK_CUR)  # the rest of an unfinished line, for the next round

    def _show_report(self, text: str) -> None:
        self.show(text)
        if step := re.match(r"step (\d+)/(\d+)", text):
            self.bar.total = int(step[2])
            self.bar.n = int(step[1])
            self.bar.refresh()
