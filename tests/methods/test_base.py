"""The interface of a method, and the two baselines that leave rewards and advantages alone."""

import pytest
import torch

from g2rl.methods.base import Method, RewardMethod, Samples, shaped_rewards
from g2rl.methods.entropy import Entropy
from g2rl.methods.evol import EVOL
from g2rl.methods.g2rl import G2RL
from g2rl.methods.grpo import GRPO
from g2rl.methods.progrpo import ProGRPO


def samples(correct, group_ids, **columns):
    return Samples(torch.tensor(correct), torch.tensor(group_ids), torch.ones(len(correct), dtype=torch.bool), columns)


@pytest.mark.parametrize("method", [GRPO(), Entropy(), Method()])
def test_baselines_change_nothing(method):
    step, advantages = samples([True, False, True], [0, 0, 1]), torch.tensor([0.7, -0.7, 0.0])
    assert shaped_rewards(method, step)[0].tolist() == [1.0, -1.0, 1.0]
    assert method.reweight_advantages(advantages, step) == (advantages, {})


@pytest.mark.parametrize(
    ("method", "needs"),
    [
        (GRPO, set()),
        (Entropy, set()),
        (EVOL, {"embeddings"}),
        (G2RL, {"features"}),
        (ProGRPO, {"log_probs", "old_log_probs", "response_mask"}),
    ],
)
def test_logging_the_geometry_adds_the_features(method, needs):
    assert method().inputs == needs
    assert method(log_geometry=True).inputs == needs | {"features"}


def test_a_uniform_group_is_shaped_or_neutral():
    class Halves(RewardMethod):
        def shape_rewards(self, samples):
            return samples.rewards * torch.tensor([1.0, 0.5, 1.0, 0.5, 1.0]), {}

    step = samples([True, True, False, True, False], [0, 0, 1, 1, 2])
    assert shaped_rewards(Halves(), step)[0].tolist() == [1.0, 0.5, -1.0, 0.5, -1.0]
    assert shaped_rewards(Halves(uniform_groups="neutral"), step)[0].tolist() == [1.0, 1.0, -1.0, 0.5, -1.0]
    with pytest.raises(ValueError, match=r"^exploration\.uniform_groups=drop is neither shape nor neutral"):
        Halves(uniform_groups="drop")


def test_metrics_of_every_step():
    step = samples([True, False, True, False, True], [5, 5, 7, 2, 7])
    assert shaped_rewards(GRPO(), step)[1] == {"exploration/uniform_group_share": pytest.approx(2 / 3)}
    step = samples([True, False, True], [0, 0, 0], features=torch.tensor([[3.0, 4.0], [-4.0, -3.0], [torch.nan, 0.0]]))
    assert shaped_rewards(GRPO(log_geometry=True), step)[1] == pytest.approx(
        {
            "exploration/uniform_group_share": 0.0,
            "exploration/cosine_mean": -0.96,
            "exploration/negative_pair_share": 1.0,
            "exploration/invalid_features": 1.0,
        }
    )
