"""The laboratory standardises and updates as verl does: advantages and loss of one batch, by verl's own functions."""

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from verl.trainer.ppo.core_algos import agg_loss, compute_grpo_outcome_advantage, get_policy_loss_fn, kl_penalty
from verl.workers.config import FSDPActorConfig, PolicyLossConfig

from g2rl.lab.compose import compose_lab
from g2rl.lab.update import check_actor, group_advantages, loss_of_tokens


def padded(values_T, lengths):
    return torch.nn.utils.rnn.pad_sequence(values_T.split(lengths), batch_first=True)


RATIO = "actor_rollout_ref.actor.policy_loss"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "overrides",
    [
        ["exploration=evol"],  # another upper clip, and an entropy term
        ["exploration=kl_cov"],  # one token
        ["exploration=kl_cov", f"{RATIO}.kl_cov_ratio=0.2"],
        ["exploration=clip_cov", f"{RATIO}.clip_cov_ratio=0.1", f"{RATIO}.clip_cov_lb=0.1"],
        ["exploration=clip_cov", f"{RATIO}.clip_cov_lb=4.9"],  # there may be no token between the bounds
    ],
    ids=" ".join,
)
def test_advantages_and_loss_are_those_of_verl(seed, overrides):
    generator = torch.Generator().manual_seed(seed)
    sizes = [1, 2, 8, 8, 5]
    group_ids = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    group_ids = group_ids[torch.randperm(len(group_ids), generator=generator)]
    rewards = torch.randn(len(group_ids), generator=generator).sign()
    rewards[group_ids == 2] = 1.0  # all right
    lengths = torch.randint(1, 9, (len(group_ids),), generator=generator).tolist()
    tokens = sum(lengths)
    log_probs = (-torch.rand(tokens, generator=generator)).requires_grad_()
    # Far enough apart that all the clips have something to do.
    old, ref = (log_probs.detach() + 1.5 * torch.randn(tokens, generator=generator) for _ in range(2))
    entropy = torch.rand(tokens, generator=generator, requires_grad=True)
    config, _ = compose_lab(overrides)
    actor = config.actor_rollout_ref.actor

    advantages = group_advantages(rewards, group_ids)
    torch.manual_seed(seed)  # clip_cov draws tokens
    loss, metrics = loss_of_tokens(
        log_probs, old, ref, entropy, advantages.repeat_interleave(torch.tensor(lengths)), actor
    )
    ours = torch.autograd.grad(loss, (log_probs, entropy))

    mask = padded(torch.ones(tokens), lengths)
    at_last_token = torch.zeros_like(mask)
    at_last_token[torch.arange(len(lengths)), torch.tensor(lengths) - 1] = rewards
    of_verl, _ = compute_grpo_outcome_advantage(at_last_token, mask, np.array([f"p{i}" for i in group_ids.tolist()]))
    torch.testing.assert_close(of_verl[:, 0], advantages)
    verl_config = FSDPActorConfig(
        strategy="fsdp2",
        rollout_n=8,
        ppo_micro_batch_size_per_gpu=1,
        policy_loss=PolicyLossConfig(**actor.policy_loss),
        **{name: actor[name] for name in ("clip_ratio_low", "clip_ratio_high", "clip_ratio_c")},
    )
    torch.manual_seed(seed)
    policy_loss, verl_metrics = get_policy_loss_fn(actor.policy_loss.loss_mode)(
        old_log_prob=padded(old, lengths),
        log_prob=padded(log_probs, lengths),
        advantages=of_verl,
        response_mask=mask,
        loss_agg_mode="token-mean",
        config=verl_config,
    )
    expected = policy_loss - actor.entropy_coeff * agg_loss(padded(entropy, lengths), mask, "token-mean")
    kl = kl_penalty(padded(log_probs, lengths), padded(ref, lengths), actor.kl_loss_type)
    expected = expected + actor.kl_loss_coef * agg_loss(kl, mask, "token-mean")
    torch.testing.assert_close(loss, expected)
    for one, other in zip(ours, torch.autograd.grad(expected, (log_probs, entropy)), strict=True):
        torch.testing.assert_close(one, other)
    assert metrics["actor/pg_loss"] == pytest.approx(policy_loss.item(), abs=1e-5)  # sums in another order
    if actor.policy_loss.loss_mode == "kl_cov":  # of which verl logs none
        penalised = max(int(actor.policy_loss.kl_cov_ratio * tokens), 1)
        assert metrics["actor/pg_clipfrac"] == pytest.approx(penalised / tokens)
    else:
        assert metrics["actor/pg_clipfrac"] == pytest.approx(verl_metrics["actor/pg_clipfrac"])


@pytest.mark.parametrize("method", ["grpo", "g2rl", "evol", "progrpo", "clip_higher", "clip_cov", "kl_cov"])
def test_settings_are_those_of_the_recipe(method, composed):
    """Every setting of the update that both have is the same, but for the size of a batch."""
    ours, _ = compose_lab([f"exploration={method}"])
    recipe = composed(f"exploration={method}")
    leaves = OmegaConf.to_container(ours.actor_rollout_ref.actor, resolve=True)
    leaves.pop("ppo_mini_batch_size")
    optim, policy_loss = leaves.pop("optim"), leaves.pop("policy_loss")
    theirs = recipe.actor_rollout_ref.actor
    assert leaves == {name: theirs[name] for name in leaves}
    assert policy_loss == {name: theirs.policy_loss[name] for name in policy_loss}
    assert optim == {name: theirs.optim[name] for name in optim}
    assert theirs.optim.lr_scheduler_type == "constant"
    assert ours.actor_rollout_ref.rollout.n == recipe.actor_rollout_ref.rollout.n
    assert type(instantiate(ours.exploration)) is type(instantiate(recipe.exploration))


def test_what_the_laboratory_does_not_compute_is_refused():
    config, _ = compose_lab(["actor_rollout_ref.actor.policy_loss.loss_mode=gspo"])
    with pytest.raises(ValueError, match=r"loss_mode=gspo: the laboratory has vanilla, clip_cov, kl_cov alone"):
        check_actor(config.actor_rollout_ref.actor)
