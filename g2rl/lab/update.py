"""Standardising and updating as the verl recipe does: GRPO's advantages, the clipped loss, the KL loss.

Shape suffixes: N responses, T tokens.
"""

from typing import Any

import torch
from torch import Tensor


def group_advantages(rewards: Tensor, group_ids: Tensor) -> Tensor:
    """(r − mean) / (std + 1e-6) in each group [N], with the standard deviation of a sample; a group of one keeps r."""
    _, group_N = group_ids.unique(return_inverse=True)
    size_G = group_N.bincount().to(rewards.dtype)
    mean_G = torch.zeros_like(size_G).index_add(0, group_N, rewards) / size_G
    centred_N = rewards - mean_G[group_N]
    std_G = (torch.zeros_like(size_G).index_add(0, group_N, centred_N.square()) / (size_G - 1)).sqrt()
    return torch.where(size_G[group_N] == 1, rewards, centred_N / (std_G[group_N] + 1e-6))


def loss_of_tokens(
    log_probs: Tensor, old_log_probs: Tensor, ref_log_probs: Tensor, entropy: Tensor, advantages: Tensor, actor: Any
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a mini-batch, a mean over its tokens, and metrics.

    Args:
        log_probs, old_log_probs, ref_log_probs: [T] under the policy now, at the step's start, and before training.
        entropy: [T] of the policy now.
        advantages: [T] of the tokens' responses.
        actor: the configuration's `actor_rollout_ref.actor`.
    """
    ratio_T = (log_probs - old_log_probs).clamp(-20, 20).exp()
    clipped_T = ratio_T.clamp(1 - actor.clip_ratio_low, 1 + actor.clip_ratio_high)
    free_T, bound_T = -advantages * ratio_T, -advantages * clipped_T
    losses_T = torch.maximum(free_T, bound_T)
    losses_T = torch.where(advantages < 0, torch.minimum(losses_T, -advantages * actor.clip_ratio_c), losses_T)
    policy_loss = losses_T.mean()
    entropy_mean = entropy.mean()
    loss = policy_loss - actor.entropy_coeff * entropy_mean
    metrics = {"actor/pg_loss": policy_loss.item(), "actor/pg_clipfrac": (bound_T > free_T).float().mean().item()}
    if actor.use_kl_loss:
        difference_T = (ref_log_probs - log_probs).clamp(-20, 20)
        kl_loss = (difference_T.exp() - difference_T - 1).clamp(-10, 10).mean()
        loss = loss + actor.kl_loss_coef * kl_loss
        metrics["actor/kl_loss"] = kl_loss.item()
    return loss, metrics | {"actor/loss": loss.item()}


def check_actor(actor: Any) -> None:
    """
    Raises:
        ValueError: a setting of the update that the laboratory does not compute.
    """
    known = {
        "policy_loss.loss_mode": (actor.policy_loss.loss_mode, "vanilla"),
        "loss_agg_mode": (actor.loss_agg_mode, "token-mean"),
        "kl_loss_type": (actor.kl_loss_type, "low_var_kl"),
    }
    for name, (value, only) in known.items():
        if value != only:
            raise ValueError(f"actor_rollout_ref.actor.{name}={value}: the laboratory has {only} alone.")
