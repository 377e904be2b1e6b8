"""What a run should have computed: read from what it left behind, and computed again one sequence at a time."""

import json
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from g2rl.methods.base import Method, Samples


def metrics(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def probed(run_dir: Path, step: int) -> dict[str, list]:
    """What reached the trainer at a step, a list of rows for each field (see probe/probe.py)."""
    return torch.load(run_dir / f"probe_{step}.pt", weights_only=False)


def check_two_steps(run_dir: Path, logged: str) -> None:
    """Both steps are in the log, with what the method adds to it, and no number is NaN."""
    records = metrics(run_dir)
    assert [record["step"] for record in records] == [1, 2]
    for record in records:
        assert logged in record["data"]
        assert all(value == value for value in record["data"].values()), "a NaN"


def recompute(
    model_path: Path, prompt: torch.Tensor, response: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Log-probs of the prompt's tokens but the first and of the response's [L], and the response's feature [H].

    One sequence at a time, by autograd at the LM head's input. `mask` [L] is 1 for the tokens that count.
    """
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    tokens = torch.cat([prompt, response])
    with torch.no_grad():
        hidden = model.model(tokens[None]).last_hidden_state[0]
    hidden = hidden[:-1].double().requires_grad_()
    log_probs = torch.log_softmax(hidden @ model.lm_head.weight.detach().double().T, dim=-1)
    log_probs = log_probs[torch.arange(len(tokens) - 1), tokens[1:]]
    (log_probs[len(prompt) - 1 :] @ mask.double()).backward()
    of_prompt, of_response = log_probs.detach().split([len(prompt) - 1, len(response)])
    return of_prompt, of_response, hidden.grad[len(prompt) - 1 :].sum(dim=0) / mask.sum()


def check_step(run_dir: Path, step: int, model_path: Path, same_policy: bool = True) -> None:
    rows = probed(run_dir, step)
    for i in range(len(rows["prompts"])):
        mask = rows["response_mask"][i]
        _, log_probs, feature = recompute(model_path, rows["prompts"][i], rows["responses"][i], mask)
        torch.testing.assert_close(rows["old_log_probs"][i].double(), log_probs, atol=1e-3, rtol=0)
        if same_policy:  # vLLM computes with the same weights
            torch.testing.assert_close(rows["rollout_log_probs"][i].double(), log_probs * mask, atol=1e-3, rtol=0)
        cosine = torch.cosine_similarity(rows["features"][i].double(), feature, dim=0)
        assert cosine >= 0.9999, (step, i, cosine)
        torch.testing.assert_close(rows["features"][i].double().norm(), feature.norm(), rtol=1e-3, atol=1e-6)


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
    for row, mask, expected in zip(rows["advantages"], rows["response_mask"], advantages, strict=True):
        torch.testing.assert_close(row, (expected * mask).to(row.dtype), atol=2e-3, rtol=1e-3)
