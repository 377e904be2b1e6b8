"""Every preset makes its method; those that are verl's own losses differ from GRPO with the mini-batches they set."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from verl.trainer.ppo.core_algos import get_policy_loss_fn
from verl.utils.config import omega_conf_to_dataclass

from g2rl.methods.build import build_method
from g2rl.methods.grpo import GRPO

CONFIGS = Path(__file__).parents[2] / "configs"
PRESETS = sorted(path.stem for path in (CONFIGS / "exploration").glob("*.yaml"))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_every_setting_of_its_method(preset, composed):
    config = composed(f"exploration={preset}")
    method = build_method(config.exploration)
    assert set(config.exploration) - {"_target_"} == {field.name for field in fields(method)}
    # The defaults in the code are the preset's.
    assert replace(method, log_geometry=False) == type(method)()


def test_the_placebo_is_one_override(composed):
    assert build_method(composed("exploration=g2rl", "exploration.placebo=true").exploration).placebo
    with pytest.raises(ValueError, match=r"needs exploration\.placebo=true"):
        build_method(composed("exploration=g2rl", "exploration.placebo_within_verdict=true").exploration)


@pytest.fixture
def policy_loss(composed):
    """verl's loss of one batch whose weights have moved by `log_ratio` since it was sampled; its gradient."""

    def gradient(preset, log_ratio):
        actor = omega_conf_to_dataclass(composed(f"exploration={preset}").actor_rollout_ref.actor)
        generator = torch.Generator().manual_seed(0)
        old = -torch.rand(64, 80, generator=generator)
        advantages = torch.randn(64, 1, generator=generator).expand(64, 80)
        new = (old + log_ratio * torch.randn(64, 80, generator=generator)).requires_grad_()
        loss_fn = get_policy_loss_fn(actor.policy_loss.loss_mode)
        loss, _ = loss_fn(old, new, advantages, torch.ones(64, 80), loss_agg_mode="token-mean", config=actor)
        loss.backward()
        return new.grad

    return gradient


@pytest.mark.parametrize("preset", ["clip_higher", "clip_cov", "kl_cov"])
def test_verls_own_losses_have_several_updates_a_step_in_which_they_differ(preset, composed, policy_loss):
    config = composed(f"exploration={preset}", "task=arithmetic")
    assert type(build_method(config.exploration)) is GRPO
    assert config.actor_rollout_ref.actor.ppo_mini_batch_size < config.data.train_batch_size
    assert not torch.equal(policy_loss(preset, 0.3), policy_loss("grpo", 0.3))


@pytest.mark.parametrize("preset", ["clip_higher", "kl_cov"])
def test_with_one_update_a_step_these_are_grpo(preset, policy_loss):
    assert torch.equal(policy_loss(preset, 0.0), policy_loss("grpo", 0.0))
