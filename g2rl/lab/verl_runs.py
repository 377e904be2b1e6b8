"""`python -m g2rl.lab.verl_runs`: the study's main settings on the whole stack, beside the laboratory's runs.

The same policy, problems and settings, 60 steps with verl, vLLM and Ray; about ten minutes a run on two cores. What is
missing is run, one after the other; a run that was cut off is done anew.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from g2rl.data.ensure import ensure
from g2rl.lab.compose import compose_lab
from g2rl.lab.study import FOLDER, SEEDS, SETTINGS, policy_of, run_file, write_run
from g2rl.lab.tasks import TASKS, Problem, derivation

ROOT = Path(__file__).parents[2]
NAMES = ("grpo", "g2rl", "weighted")
STEPS = (30, 60)  # whose policies are validated


def perform(name: str, seed: int, folder: Path) -> None:
    """One run of the recipe with the laboratory's settings, and its file."""
    run_dir = ROOT / "outputs" / "study_verl" / f"{name}-seed{seed}"
    lab, task = compose_lab([*SETTINGS[name], f"seed={seed}"])
    rollout, size = lab.actor_rollout_ref.rollout, lab.data.train_batch_size
    validation = TASKS[task].problems("val", lab.data.val_max_samples)
    train, val = ensure(task, f"{lab.cache}/data-{task}")
    run_dir.mkdir(parents=True, exist_ok=True)
    pq.write_table(pq.read_table(val).slice(0, len(validation)), run_dir / "val.parquet")
    overrides = [
        *SETTINGS[name],
        f"data.train_files={train}",
        f"data.val_files={run_dir}/val.parquet",
        f"data.train_batch_size={size}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={size}",
        f"actor_rollout_ref.rollout.n={rollout.n}",
        f"actor_rollout_ref.rollout.val_kwargs.n={rollout.val_kwargs.n}",
        f"actor_rollout_ref.rollout.val_kwargs.temperature={rollout.val_kwargs.temperature}",
        f"data.seed={seed}",
        f"actor_rollout_ref.rollout.seed={seed}",
        f"actor_rollout_ref.actor.data_loader_seed={seed}",
        f"trainer.total_training_steps={STEPS[-1]}",
        f"trainer.test_freq={STEPS[0]}",
        "trainer.val_before_train=false",  # the untrained policy is the laboratory's
        "trainer.save_freq=-1",
        f"trainer.validation_data_dir={run_dir}/samples",
    ]
    command = ["bash", "scripts/run_g2rl_cpu.sh", f"run_dir={run_dir}", policy_of(name), *overrides]
    subprocess.run(command, cwd=ROOT, check=True)
    record = {
        "setting": name,
        "task": task,
        "seed": seed,
        "overrides": [part for part in overrides if str(run_dir) not in part],
    }
    found = {step: outcomes(run_dir / "samples" / f"{step}.jsonl", validation) for step in STEPS}
    write_run(run_file(folder, name, seed, "verl"), record, validation, run_dir, found)


def outcomes(samples: Path, validation: Sequence[Problem]) -> list[list[str | None]]:
    """Of verl's file of a validation: for each problem, each sample's way to the right answer, None where it is wrong.

    Raises:
        ValueError: a sample belongs to none of the problems.
    """
    found: dict[int, list[str | None]] = defaultdict(list)
    for line in samples.read_text().splitlines():
        sample: dict[str, Any] = json.loads(line)
        here = [i for i, problem in enumerate(validation) if problem.question in sample["input"]]
        if len(here) != 1:
            raise ValueError(f"{samples}: {sample['input']!r} holds {len(here)} of the validation's questions.")
        right = sample["acc"] > 0.5
        found[here[0]].append((derivation(sample["output"], sample["gts"]) or "") if right else None)
    return [found[i] for i in range(len(validation))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m g2rl.lab.verl_runs", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS[:3]))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    for seed in options.seeds:
        for name in NAMES:
            if not run_file(options.folder, name, seed, "verl").exists():
                print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
                perform(name, seed, options.folder)


if __name__ == "__main__":
    main()
