"""What each method costs a training step beside GRPO: medians of verl's `timing_s/*`, one real run after the other.

    .venv/bin/python benchmarks/step_cost.py            # on a machine without a GPU, about 20 minutes on 2 cores
    .venv/bin/python benchmarks/step_cost.py grpo g2rl rep_exp       # these, into step_cost_grpo_g2rl_rep_exp.csv

What the others cost: `weighted_maxrl` what g2rl does, `dra` what evol does, `unlikeliness` a second update; the rest
asks for verdicts or for log-probs that are there, as maxrl and progrpo do. Writes step_cost.csv. Seconds of one machine
mean little; compare the columns of one table.
"""

import csv
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from token_pass_measure import machine

from g2rl.utils.markdown import markdown_table

ROOT = Path(__file__).parents[1]
METHODS = ["grpo", "g2rl", "rep_exp", "maxrl", "progrpo", "entropy", "evol"]
PARTS = ["gen", "old_log_prob", "ref", "adv", "update_actor", "update_weights", "step"]
STEPS, WARM_UP = 10, 3
SETTINGS = [
    "data.train_batch_size=16",
    "actor_rollout_ref.actor.ppo_mini_batch_size=16",
    # all pay for the reference model, or none
    "actor_rollout_ref.actor.use_kl_loss=true",
    f"trainer.total_training_steps={STEPS}",
    "trainer.val_before_train=false",
    "trainer.test_freq=-1",
    "trainer.save_freq=-1",
]


def measure(method: str, folder: Path) -> dict[str, float]:
    """Median seconds of each part of a step."""
    run_dir = folder / method
    # the geometry is what G2RL computes anyway; the others log it only when asked
    geometry = ["exploration.log_geometry=false"] if method != "g2rl" else []
    command = ["bash", "scripts/run_g2rl_cpu.sh", f"exploration={method}", f"run_dir={run_dir}", *SETTINGS, *geometry]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    records = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    steps = [record["data"] for record in records if record["step"] > WARM_UP]
    return {part: statistics.median(step.get(f"timing_s/{part}", 0.0) for step in steps) for part in PARTS}


def main() -> None:
    methods = sys.argv[1:] or METHODS
    with tempfile.TemporaryDirectory() as folder:
        results = {method: measure(method, Path(folder)) for method in methods}
    table = [["part of a step (s)", *methods]]
    for part in PARTS:
        cells = [f"{results[m][part]:.2f} ({results[m][part] / results['grpo'][part]:.2f} x)" for m in methods]
        table.append([f"`{part}`", *cells])
    print(markdown_table(table))
    name = "_".join(["step_cost", *sys.argv[1:]])
    with open(ROOT / "benchmarks" / f"{name}.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["machine", "method", *PARTS])
        for method, seconds in results.items():
            writer.writerow([machine("cpu"), method, *(f"{seconds[p]:.4f}" for p in PARTS)])


if __name__ == "__main__":
    main()
