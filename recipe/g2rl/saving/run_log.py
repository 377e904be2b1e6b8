"""What a run says of itself: lines for the user's terminal, and `metrics.jsonl`.

The trainer lives in a Ray actor. What it wants seen it prints behind a mark, which the driver's console looks for.
"""

import json
import os
import re
from pathlib import Path

from g2rl.report.runs import METRICS_FILE

MARK = "[g2rl]"

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
        if (Path(run_dir) / METRICS_FILE).read_bytes()[-1:] not in (b"", b"\n"):
            self.file.write("\n")  # behind a line that an earlier end of the run has cut off

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
