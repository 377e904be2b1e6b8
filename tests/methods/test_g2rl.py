"""G2RL as the trainer sees it, with verl's own group standardisation behind it."""

import math
from dataclasses import replace

import pytest
import torch
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from g2rl.methods.base import Samples, shaped_rewards
from g2rl.methods.g2rl import G2RL
from g2rl.methods.grpo import GRPO


def random_samples(seed=0, groups=6, size=5, width=12):
    generator = torch.Generator().manual_seed(seed)
    rows = groups * size
    rewards = torch.randint(0, 2, (rows,), generator=generator) * 2.0 - 1
    group_ids = (torch.arange(rows) % groups)[torch.randperm(rows, generator=generator)]
    features = torch.randn(rows, width, generator=generator)
    return Samples(rewards > 0, group_ids, torch.ones(rows, dtype=torch.bool), {"features": features})


def advantages(method, samples):
    """What the trainer does: shape, verl's standardisation, re-weight."""
    rewards, _ = shaped_rewards(method, samples)
    one_token = torch.ones(len(rewards), 1)
    standardised, _ = compute_grpo_outcome_advantage(rewards[:, None].clone(), one_token, samples.group_ids.numpy())
    return method.reweight_advantages(standardised[:, 0], samples)[0]


@pytest.mark.parametrize("form", ["equation", "prose", "amplify"])
def test_scale_zero_is_grpo_to_the_last_bit(form):
    samples = random_samples()
    assert torch.equal(advantages(G2RL(form=form, scale=0), samples), advantages(GRPO(), samples))
    assert not torch.equal(advantages(G2RL(form=form), samples), advantages(GRPO(), samples))


@pytest.mark.parametrize("reward", [1.0, -1.0])
def test_a_uniform_group_is_spread_by_novelty_or_neutral(reward):
    samples = random_samples(groups=1, size=8)
    samples = replace(samples, correct=torch.full((8,), reward > 0))
    assert advantages(G2RL(), samples).abs().min() > 0
    assert advantages(G2RL(uniform_groups="neutral"), samples).tolist() == [0.0] * 8
    assert advantages(GRPO(), samples).tolist() == [0.0] * 8


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
def test_bad_features_give_finite_advantages_and_are_counted(bad):
    samples = random_samples()
    samples["features"][[0, 3]] = bad
    assert advantages(G2RL(), samples).isfinite().all()
    assert shaped_rewards(G2RL(log_geometry=True), samples)[1]["exploration/invalid_features"] == 2
    samples["features"][:] = bad
    assert torch.equal(advantages(G2RL(), samples), advantages(GRPO(), samples))


def test_identical_features_leave_grpo():
    samples = random_samples(width=2560)
    samples["features"][:] = samples["features"][0].clone()
    assert torch.equal(advantages(G2RL(), samples), advantages(GRPO(), samples))


def test_order_of_rows_and_size_of_features_do_not_matter():
    samples = random_samples()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    shuffled = Samples(
        samples.correct[order],
        samples.group_ids[order],
        samples.valid[order],
        {"features": 1000 * samples["features"][order]},
    )
    torch.testing.assert_close(advantages(G2RL(), shuffled), advantages(G2RL(), samples)[order], atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:exploration.scale")
def test_metrics_count_what_they_say():
    # One group, two opposite and two orthogonal directions: scores known by hand. The other group has no signal.
    features = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    rewards, group_ids = torch.tensor([1.0, 1.0, -1.0, -1.0, -1.0]), torch.tensor([0, 0, 0, 1, 1])
    samples = Samples(rewards > 0, group_ids, torch.ones(5, dtype=torch.bool), {"features": features})
    correct_peer = math.e / (math.e + 1 / math.e)  # weight of the correct peer beside the wrong one
    scores = [math.sqrt(1 - correct_peer)] * 2 + [1.0, 0.0, 0.0]
    shaped, metrics = shaped_rewards(G2RL(scale=5.0, form="amplify", log_geometry=True), samples)
    torch.testing.assert_close(shaped, torch.tensor([1.0, 1.0, -3.0, -1.0, -1.0]))
    expected = {
        "exploration/score_mean": sum(scores) / 5,
        "exploration/score_std": math.sqrt(sum((s - sum(scores) / 5) ** 2 for s in scores) / 5),
        "exploration/shaped_reward_min": -3.0,
        "exploration/shaped_reward_mean": -0.6,
        "exploration/shaped_reward_max": 1.0,
        "exploration/clipped_share": 0.2,
    }
    expected |= {
        "exploration/uniform_group_share": 0.5,
        "exploration/cosine_mean": 0.0,
        "exploration/negative_pair_share": 0.25,
        "exploration/invalid_features": 0.0,
    }
    assert metrics == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("setting", [{"scale": -1}, {"form": "novel"}, {"clip": 0}])
def test_bad_settings_are_named_as_in_the_configuration(setting):
    with pytest.raises(ValueError, match=f"^exploration.{next(iter(setting))} must be"):
        G2RL(**setting)


def test_a_scale_that_mixes_wrong_and_right_warns():
    with pytest.warns(UserWarning, match=r"exploration\.scale=1\.5 with exploration\.form=prose"):
        G2RL(form="prose", scale=1.5)
