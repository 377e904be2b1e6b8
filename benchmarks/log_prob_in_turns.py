"""What features and confidences add to `timing_s/old_log_prob`, measured in turns.

One run of GRPO asks for nothing, for features, for confidences, a step each. A machine that slows down slows all three.

    .venv/bin/python benchmarks/log_prob_in_turns.py     # on a machine without a GPU, about 5 minutes on 2 cores

Prints medians over the steps and writes log_prob_in_turns.csv. `ref`, verl's own pass over the same tokens, is there to
show what is noise.
"""

import csv
import json
import os
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import step_cost
from torch import Tensor

from g2rl.methods.base import Method, Metrics, Samples

ROOT = Path(__file__).parents[1]
ASKS_FOR = {"nothing (GRPO)": frozenset(), "features (G2RL)": {"features"}, "confidences (ProGRPO)": {"confidence"}}
PARTS = ["old_log_prob", "ref"]
STEPS, WARM_UP = 33, 3
SETTINGS = [
    *step_cost.SETTINGS,
    "exploration._target_=log_prob_in_turns.InTurns",
    "algorithm.adv_estimator=in_turns",
    f"trainer.total_training_steps={STEPS}",
]


@dataclass(frozen=True)
class InTurns(Method):
    steps_done: ClassVar[list[int]] = [0]

    @property
    def inputs(self) -> frozenset[str]:
        return frozenset(list(ASKS_FOR.values())[self.steps_done[0] % len(ASKS_FOR)])

    def reweight_advantages(self, advantages: Tensor, samples: Samples) -> tuple[Tensor, Metrics]:
        self.steps_done[0] += 1  # the last thing that a step asks
        return advantages, {}


def main() -> None:
    from token_pass_measure import machine

    with tempfile.TemporaryDirectory() as folder:
        command = ["bash", "scripts/run_grpo_cpu.sh", f"run_dir={folder}", *SETTINGS]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "benchmarks")}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        records = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    rows = []
    print(
        "| seconds, median of steps (to the first row) | " + " | ".join(PARTS) + " |\n|" + " --- |" * (1 + len(PARTS))
    )
    for turn, asked in enumerate(ASKS_FOR):
        steps = [r["data"] for r in records if r["step"] > WARM_UP and (r["step"] - 1) % len(ASKS_FOR) == turn]
        seconds = {part: statistics.median(step[f"timing_s/{part}"] for step in steps) for part in PARTS}
        rows.append({"machine": machine("cpu"), "asks_for": asked, "steps": len(steps)} | seconds)
        cells = [f"{seconds[part]:.3f} ({seconds[part] / rows[0][part]:.2f} x)" for part in PARTS]
        print(f"| {asked} | " + " | ".join(cells) + " |")
    with Path(__file__).with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
