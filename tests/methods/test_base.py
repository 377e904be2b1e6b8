"""The interface of a method, and the two baselines that leave rewards and advantages alone."""

import pytest
import torch

from g2rl.methods.base import RewardMethod, Samples, shaped_rewards


def samples(correct, group_ids, **columns):
    return Samples(torch.tensor(correct), torch.tensor(group_ids), torch.ones(len(correct), dtype=torch.bool), columns)


def test_a_uniform_group_is_shaped_or_neutral():
    class Halves(RewardMethod):
        def shape_rewards(self, samples):
            return samples.rewards * torch.tensor([1.0, 0.5, 1.0, 0.5, 1.0]), {}

    step = samples([True, True, False, True, False], [0, 0, 1, 1, 2])
    assert shaped_rewards(Halves(), step)[0].tolist() == [1.0, 0.5, -1.0, 0.5, -1.0]
    assert shaped_rewards(Halves(uniform_groups="neutral"), step)[0].tolist() == [1.0, 1.0, -1.0, 0.5, -1.0]
    with pytest.raises(ValueError, match=r"^exploration\.uniform_groups=drop is neither shape nor neutral"):
        Halves(uniform_groups="drop")
