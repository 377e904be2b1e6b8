"""What a test reads of a finished run: its log, and what the probe wrote down."""

import json
from pathlib import Path

import numpy as np
import torch

from g2rl.methods.base import Method, Samples


def metrics(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def probed(run_dir: Path, step: int) -> dict[str, list]:
    """What reached the trainer at a step, a list of rows for each field (see probe/probe.py)."""
    return torch.load(run_dir / f"probe_{step}.pt", weights_only=False)


def samples_of(rows: dict, step: int = 0, **columns: torch.Tensor) -> Samples:
    return Samples(
        correct=torch.stack([row.sum() for row in rows["rm_scores"]]) > 0,
        group_ids=torch.from_numpy(np.unique(rows["uid"], return_inverse=True)[1]),
        valid=torch.tensor([bool(extra["reward_extra_info"]["pred"]) for extra in rows["extra_fields"]]),
        columns=columns,
        step=step,
    )


def check_advantages(rows: dict, samples: Samples, method: Method) -> None:
    """What reached the update, row by row, is the method's word on these samples, standardised in a plain loop."""
    shaped, _ = method.shape_rewards(samples)
    advantages = torch.empty_like(shaped)
    for group in samples.group_ids.unique():
        own = shaped[samples.group_ids == group]
        advantages[samples.group_ids == group] = (own - own.mean()) / (own.std() + 1e-6)
    advantages, _ = method.reweight_advantages(advantages, samples)
    for row, expected in zip(rows["advantages"], advantages, strict=True):
        torch.testing.assert_close(row, expected.expand_as(row).to(row.dtype), atol=2e-3, rtol=1e-3)
