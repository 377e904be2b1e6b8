"""What the trainer's process itself does in a step beside verl's own work, with G2RL and with GRPO.

    python benchmarks/trainer_step.py          prints the table and writes trainer_step.csv beside this file

4,096 responses in groups of 16, of up to 1,024 tokens, with features of 2,560 numbers. The functions are the trainer's;
what TransferQueue would hand over is made up and lies ready, so the transfer itself is not in these numbers. `grpo
standardisation` is verl's and part of both estimators. Best and median of seven calls, and the least processor time.
"""

import csv
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from token_pass_measure import machine, milliseconds
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from g2rl.methods.base import sample_metrics
from g2rl.methods.g2rl import G2RL
from g2rl.methods.grpo import GRPO
from recipe.g2rl.estimator import ExplorationEstimator
from recipe.g2rl.reward_manager import reward_metrics
from recipe.g2rl.trainer import ExplorationHooks

N, GROUP, LENGTH, HIDDEN = 4096, 16, 1024, 2560


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(2)
    uids = np.array([f"prompt-{row // GROUP}" for row in range(N)], dtype=object)
    right = torch.randint(2, (N,)).tolist()
    infos = [{"acc": acc, "pred": "7", "verdict": "right" if acc else "wrong", "verify_seconds": 0.01} for acc in right]
    mask = (torch.arange(LENGTH) < torch.randint(1, LENGTH + 1, (N, 1))).long()
    rewards = torch.zeros(N, LENGTH).scatter_(1, mask.sum(1, keepdim=True) - 1, 2.0 * torch.tensor(right)[:, None] - 1)
    fetched: dict[str, Any] = {
        "uid": uids.tolist(),
        "extra_fields": [{"reward_extra_info": info} for info in infos],
        "features": torch.nested.as_nested_tensor(list(torch.randn(N, HIDDEN).unbind()), layout=torch.jagged),
    }
    batch = SimpleNamespace(tags=[{}] * N)
    settings = {"norm_adv_by_std_in_grpo": True}

    rows = []
    for method in (G2RL(), GRPO()):
        names = ("features",) if "features" in method.inputs else ()
        trainer: Any = SimpleNamespace(method=method, _tensor_fields=lambda names=names: names)
        trainer._fetch = lambda batch, *fields: fetched
        samples, real, verdicts = ExplorationHooks._collect(trainer, batch)
        estimator = ExplorationEstimator(method)
        estimator.hand_over(samples, real)
        parts = {
            "collect": lambda trainer=trainer: ExplorationHooks._collect(trainer, batch),
            "estimator": lambda estimator=estimator: estimator(rewards, mask, uids, config=settings),
            "grpo standardisation": lambda: compute_grpo_outcome_advantage(rewards, mask, uids),
            "sample metrics": lambda samples=samples: sample_metrics(samples, samples.features is not None),
            "reward metrics": lambda verdicts=verdicts: reward_metrics(verdicts),
        }
        for part, run in parts.items():
            run()
            wall, processor = zip(*(milliseconds(run, "cpu") for _ in range(7)), strict=True)
            row = {"method": type(method).__name__, "part": part, "best_ms": round(min(wall), 1)}
            row |= {"median_ms": round(statistics.median(wall), 1), "processor_ms": round(min(processor), 1)}
            rows.append({"machine": machine("cpu")} | row)
            print("  ".join(f"{value!s:>20}" for value in row.values()), flush=True)
    with Path(__file__).with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
