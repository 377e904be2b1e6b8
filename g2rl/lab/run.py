"""A run of the laboratory: its steps, and now and then a validation."""

import json
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from g2rl.evaluation.metrics import pass_at_k, powers_of_two
from g2rl.lab.tasks import Problem
from g2rl.lab.train import Laboratory
from g2rl.report.runs import METRICS_FILE


def run(laboratory: Laboratory, folder: Path) -> dict[int, list[list[str | None]]]:
    """Trains, writes `metrics.jsonl` of the steps, and returns the outcomes of each validation by its step."""
    trainer = laboratory.config.trainer
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = {}
    total = trainer.total_training_steps
    steps = tqdm(range(total + 1), desc=folder.name, unit="step", disable=None)
    with open(folder / METRICS_FILE, "w") as file:
        for step in steps:
            metrics = laboratory.step(step) if step else {}
            if step % trainer.test_freq == 0 or step == total:
                outcomes[step] = laboratory.validate(step)
                metrics |= metrics_of(outcomes[step], laboratory.validation, laboratory.task)
            file.write(json.dumps({"step": step, "data": metrics}) + "\n")
            file.flush()
            if "reward/pass_rate" in metrics:
                steps.set_postfix_str(f"pass {metrics['reward/pass_rate']:.0%}")
    return outcomes


def metrics_of(outcomes: Sequence[Sequence[str | None]], problems: Sequence[Problem], task: str) -> dict[str, float]:
    """pass@k and derivations a problem, of a validation's outcomes."""
    rights = [sum(way is not None for way in of_problem) for of_problem in outcomes]
    number = len(outcomes[0])
    metrics = {
        f"val/{task}/pass@{k}": sum(pass_at_k(number, right, k) for right in rights) / len(rights)
        for k in powers_of_two(number)
    }
    for kind in sorted({problem.kind for problem in problems}):
        ways = [
            len(set(filter(None, of_problem)))
            for of_problem, problem in zip(outcomes, problems, strict=True)
            if problem.kind == kind
        ]
        metrics[f"val/{task}/derivations/{kind}"] = sum(ways) / len(ways)
    counts = [len(set(filter(None, of_problem))) for of_problem in outcomes]
    return metrics | {f"val/{task}/derivations": sum(counts) / len(counts)}
