"""The estimator between a method and verl: GRPO where the method changes nothing, the method's own where it does."""

import numpy as np
import pytest
import torch
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from g2rl.methods.base import Method, Samples
from g2rl.methods.g2rl import G2RL
from g2rl.methods.progrpo import ProGRPO
from recipe.g2rl.estimator import ExplorationEstimator

GROUPS, SIZE, LENGTH, HIDDEN = 4, 6, 9, 5
N = GROUPS * SIZE


def batch(seed: int) -> tuple[dict, Samples]:
    """Rows in random order, with a penalty inside the token rewards as KL-in-reward puts it there."""
    generator = torch.Generator().manual_seed(seed)
    index = torch.randperm(N, generator=generator) % GROUPS
    rewards = torch.randint(0, 2, (N,), generator=generator) * 2.0 - 1.0
    lengths = torch.randint(1, LENGTH + 1, (N,), generator=generator)
    mask = (torch.arange(LENGTH) < lengths[:, None]).float()
    token_rewards = -0.01 * torch.rand(N, LENGTH, generator=generator) * mask
    token_rewards[torch.arange(N), lengths - 1] += rewards
    samples = Samples(
        rewards=rewards,
        group_ids=index,
        valid=torch.ones(N, dtype=torch.bool),
        features=torch.randn(N, HIDDEN, generator=generator),
        prompt_confidence=torch.rand(N, generator=generator),
        response_confidence=torch.rand(N, generator=generator),
    )
    arguments = {
        "token_level_rewards": token_rewards,
        "response_mask": mask,
        "index": np.array([f"prompt {i}" for i in index.tolist()], dtype=object),
    }
    return arguments, samples


def estimate(method: Method, arguments: dict, samples: Samples, real=None) -> torch.Tensor:
    estimator = ExplorationEstimator(method)
    estimator.hand_over(samples, torch.ones(N, dtype=torch.bool) if real is None else real)
    advantages, returns = estimator(**arguments, config={"norm_adv_by_std_in_grpo": True})
    assert torch.equal(advantages, returns)
    return advantages


@pytest.mark.parametrize("method", [Method(), G2RL(scale=0.0), ProGRPO(alpha=0.0)], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("seed", range(3))
def test_without_effect_it_is_grpo_to_the_last_bit(method, seed):
    arguments, samples = batch(seed)
    grpo, _ = compute_grpo_outcome_advantage(**arguments)
    assert torch.equal(estimate(method, arguments, samples), grpo)


@pytest.mark.parametrize("seed", range(3))
def test_g2rl_standardises_the_shaped_rewards_in_float64(seed):
    arguments, samples = batch(seed)
    shaped, _ = G2RL().shape_rewards(samples)
    advantages = estimate(G2RL(), arguments, samples)
    totals = arguments["token_level_rewards"].double().sum(dim=1) - samples.rewards.double() + shaped.double()
    for group in range(GROUPS):
        rows = samples.group_ids == group
        expected = (totals[rows] - totals[rows].mean()) / (totals[rows].std() + 1e-6)
        torch.testing.assert_close(advantages[rows, 0].double(), expected, atol=1e-4, rtol=1e-4)


def test_progrpo_moves_every_token_of_a_response_alike():
    arguments, samples = batch(0)
    grpo, _ = compute_grpo_outcome_advantage(**arguments)
    change = estimate(ProGRPO(alpha=0.3), arguments, samples) - grpo
    assert (change * (1 - arguments["response_mask"]) == 0).all()
    for i in range(N):
        group = samples.group_ids == samples.group_ids[i]
        expected = 0.3 * (samples.prompt_confidence[i] - samples.response_confidence[i])
        expected = expected if (samples.rewards[group] > 0).any() else torch.tensor(0.0)
        inside = change[i][arguments["response_mask"][i] > 0]
        torch.testing.assert_close(inside, expected.expand_as(inside), atol=1e-5, rtol=0)


def test_rows_that_verl_pads_with_change_nothing():
    arguments, samples = batch(1)
    plain = estimate(G2RL(), arguments, samples)
    padding = {
        "token_level_rewards": torch.zeros(2, LENGTH),
        "response_mask": torch.ones(2, LENGTH),
        "index": np.array(["padding 1", "padding 2"], dtype=object),
    }
    padded = {name: torch.cat([rows, padding[name]]) for name, rows in arguments.items() if name != "index"}
    padded["index"] = np.concatenate([arguments["index"], padding["index"]])
    real = torch.tensor([True] * N + [False] * 2)
    advantages = estimate(G2RL(), padded, samples, real)
    assert torch.equal(advantages[:N], plain)
