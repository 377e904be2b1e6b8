"""What the trainer's process itself does in a step beside verl's own work, with G2RL and with GRPO.

    python benchmarks/trainer_step.py          prints the table and writes trainer_step.csv beside this file

4,096 responses in groups of 16, of up to 1,024 tokens, with features of 2,560 numbers. The functions are the trainer's;
what TransferQueue would hand over is made up and lies ready, so the transfer itself is not in these numbers. `grpo
standardisation` is verl's own. Best and median of seven calls, and the least processor time.
"""

import csv
import statistics
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from token_pass_measure import machine, milliseconds
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from g2rl.methods.base import shaped_rewards
from g2rl.methods.g2rl import G2RL
from g2rl.methods.grpo import GRPO
from recipe.g2rl.correctness import reward_metrics
from recipe.g2rl.responses import add_to_scores, response_rows
from recipe.g2rl.trainer import ExplorationHooks

N, GROUP, LENGTH, HIDDEN = 4096, 16, 1024, 2560


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(2)
    uids = [f"prompt-{row // GROUP}" for row in range(N)]
    keys, tags = [f"{uid}_{row % GROUP}_0" for row, uid in enumerate(uids)], [{}] * N
    right = torch.randint(2, (N,)).tolist()
    infos = [{"acc": acc, "pred": "7", "verdict": "right" if acc else "wrong", "verify_seconds": 0.01} for acc in right]
    mask = (torch.arange(LENGTH) < torch.randint(1, LENGTH + 1, (N, 1))).long()
    rewards = torch.zeros(N, LENGTH).scatter_(1, mask.sum(1, keepdim=True) - 1, 2.0 * torch.tensor(right)[:, None] - 1)
    lengths = mask.sum(1).tolist()
    scores = torch.nested.as_nested_tensor(
        [row[:length] for row, length in zip(rewards, lengths, strict=True)], layout=torch.jagged
    )
    features = torch.nested.as_nested_tensor(list(torch.randn(N, HIDDEN).unbind()), layout=torch.jagged)
    totals = rewards.sum(1)

    rows = []
    for method in (G2RL(log_geometry=True), GRPO()):
        columns = {"features": features} if method.inputs else {}
        config = SimpleNamespace(correct_above=0.5)
        trainer: Any = SimpleNamespace(method=method, _columns=columns, inputs={}, config=config, global_steps=1)
        responses, _ = response_rows(keys, tags)
        samples = ExplorationHooks._samples(trainer, responses, uids, infos, totals)
        shaped, _ = shaped_rewards(method, samples)

        def collect(trainer=trainer, responses=responses) -> None:
            response_rows(keys, tags)
            ExplorationHooks._samples(trainer, responses, uids, infos, totals)

        parts: dict[str, Callable[[], Any]] = {
            "collect": collect,
            "shape": lambda method=method, samples=samples: shaped_rewards(method, samples),
            "into the scores": lambda shaped=shaped, responses=responses: add_to_scores(scores, responses, shaped),
            "grpo standardisation": lambda: compute_grpo_outcome_advantage(rewards, mask, np.array(uids, dtype=object)),
            "reward metrics": lambda: reward_metrics(infos),
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
