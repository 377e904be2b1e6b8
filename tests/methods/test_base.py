"""The interface of a method, and the two baselines that leave rewards and advantages alone."""

import pytest
import torch

from g2rl.methods.base import Method, Samples, sample_metrics
from g2rl.methods.entropy import Entropy
from g2rl.methods.evol import EVOL
from g2rl.methods.g2rl import G2RL
from g2rl.methods.grpo import GRPO
from g2rl.methods.progrpo import ProGRPO


def samples(rewards, group_ids, **tensors):
    return Samples(
        torch.tensor(rewards), torch.tensor(group_ids), torch.ones(len(rewards), dtype=torch.bool), **tensors
    )


@pytest.mark.parametrize("method", [GRPO(), Entropy(), Method()])
def test_baselines_change_nothing(method):
    step, advantages = samples([1.0, -1.0, 1.0], [0, 0, 1]), torch.tensor([0.7, -0.7, 0.0])
    assert method.shape_rewards(step) == (step.rewards, {})
    assert method.reweight_advantages(advantages, step) == (advantages, {})


@pytest.mark.parametrize(
    ("method", "needs"),
    [(GRPO, set()), (Entropy, set()), (EVOL, {"embeddings"}), (G2RL, {"features"}), (ProGRPO, {"confidence"})],
)
def test_logging_the_geometry_adds_the_features(method, needs):
    assert method().inputs == needs
    assert method(log_geometry=True).inputs == needs | {"features"}


def test_a_need_that_no_trainer_can_fill_is_refused():
    with pytest.raises(ValueError, match=r"Typo\.needs names feature; there are only confidence, embeddings, features"):
        type("Typo", (Method,), {"needs": frozenset({"feature"})})


def test_zero_one_rewards_are_refused():
    with pytest.raises(ValueError, match=r"must be \+1 or -1"):
        samples([0.0, 1.0], [0, 0])


def test_metrics_of_every_step():
    step = samples([1.0, -1.0, 1.0, -1.0, 1.0], [5, 5, 7, 2, 7])
    assert sample_metrics(step, log_geometry=False) == {"exploration/uniform_group_share": pytest.approx(2 / 3)}
    with_features = samples(
        [1.0, -1.0, 1.0], [0, 0, 0], features=torch.tensor([[3.0, 4.0], [-4.0, -3.0], [torch.nan, 0.0]])
    )
    assert sample_metrics(with_features, log_geometry=True) == pytest.approx(
        {
            "exploration/uniform_group_share": 0.0,
            "exploration/cosine_mean": -0.96,
            "exploration/negative_pair_share": 1.0,
            "exploration/invalid_features": 1.0,
        }
    )
