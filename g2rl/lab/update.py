"""Standardising and updating as the verl recipe does: GRPO's advantages, the clipped loss, the KL loss.

Shape suffixes: N responses, T tokens.
"""

from collections.abc import Callable
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
    losses_T, treated_T = LOSSES[actor.policy_loss.loss_mode](log_probs, old_log_probs, advantages, actor)
    policy_loss = losses_T.mean()
    entropy_mean = entropy.mean()
    loss = policy_loss - actor.entropy_coeff * entropy_mean
    metrics = {"actor/pg_loss": policy_loss.item(), "actor/pg_clipfrac": treated_T.float().mean().item()}
    if actor.use_kl_loss:
        difference_T = (ref_log_probs - log_probs).clamp(-20, 20)
        kl_loss = (difference_T.exp() - difference_T - 1).clamp(-10, 10).mean()
        loss = loss + actor.kl_loss_coef * kl_loss
        metrics["actor/kl_loss"] = kl_loss.item()
    return loss, metrics | {"actor/loss": loss.item()}


# ---------------------------------------------------------------------- losses [T], and the tokens they treat otherwise


def vanilla(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, actor: Any) -> tuple[Tensor, Tensor]:
    """PPO's clipped loss with the dual clip of negative advantages; treated: clipped tokens."""
    free_T, bound_T = _free_and_clipped(log_probs, old_log_probs, advantages, actor)
    losses_T = torch.maximum(free_T, bound_T)
    losses_T = torch.where(advantages < 0, torch.minimum(losses_T, -advantages * actor.clip_ratio_c), losses_T)
    return losses_T, bound_T > free_T


def clip_cov(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, actor: Any) -> tuple[Tensor, Tensor]:
    """Clip-Cov (arXiv 2505.22617): a few tokens, drawn among those of high covariance, get no gradient: the treated."""
    free_T, bound_T = _free_and_clipped(log_probs, old_log_probs, advantages, actor)
    settings, covariance_T = actor.policy_loss, _covariances(log_probs, advantages)
    high_T = (covariance_T > settings.clip_cov_lb) & (covariance_T < settings.clip_cov_ub) & (bound_T <= free_T)
    places = high_T.nonzero()[:, 0]
    places = places[torch.randperm(len(places))[: max(int(settings.clip_cov_ratio * len(advantages)), 1)]]
    treated_T = torch.zeros_like(high_T).index_fill(0, places, True)
    return torch.maximum(free_T, bound_T).masked_fill(treated_T, 0), treated_T


def kl_cov(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, actor: Any) -> tuple[Tensor, Tensor]:
    """KL-Cov (arXiv 2505.22617): no clip, but a KL penalty on the tokens of highest covariance: the treated."""
    difference_T = log_probs - old_log_probs
    number = max(int(len(advantages) * actor.policy_loss.kl_cov_ratio), 1)
    places = _covariances(log_probs, advantages).topk(number).indices
    treated_T = torch.zeros_like(advantages, dtype=torch.bool).index_fill(0, places, True)
    penalty_T = actor.policy_loss.ppo_kl_coef * difference_T.abs()
    return -advantages * difference_T.exp() + torch.where(treated_T, penalty_T, 0), treated_T


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor, Any], tuple[Tensor, Tensor]]] = {
    "vanilla": vanilla,
    "clip_cov": clip_cov,
    "kl_cov": kl_cov,
}


def _free_and_clipped(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, actor: Any
) -> tuple[Tensor, Tensor]:
    ratio_T = (log_probs - old_log_probs).clamp(-20, 20).exp()
    clipped_T = ratio_T.clamp(1 - actor.clip_ratio_low, 1 + actor.clip_ratio_high)
    return -advantages * ratio_T, -advantages * clipped_T


def _covariances(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """[T] what each token adds to the covariance of log-probability and advantage in the mini-batch, times T."""
    log_probs = log_probs.detach()
    return (advantages - advantages.mean()) * (log_probs - log_probs.mean())


def check_actor(actor: Any) -> None:
    """
    Raises:
        ValueError: a setting of the update that the laboratory does not compute.
    """
    known = {
        "policy_loss.loss_mode": (actor.policy_loss.loss_mode, tuple(LOSSES)),
        "loss_agg_mode": (actor.loss_agg_mode, ("token-mean",)),
        "kl_loss_type": (actor.kl_loss_type, ("low_var_kl",)),
    }
    for name, (value, those) in known.items():
        if value not in those:
            raise ValueError(f"actor_rollout_ref.actor.{name}={value}: the laboratory has {', '.join(those)} alone.")
