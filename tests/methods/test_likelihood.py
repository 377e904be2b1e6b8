"""Unlikeliness and UCPO, which see how likely the policy finds its responses: against loops, and by hand."""

import math

import pytest
import torch

from g2rl.methods.base import shaped_rewards
from g2rl.methods.grpo import GRPO
from g2rl.methods.ucpo import UCPO, correct_weights
from g2rl.methods.unlikeliness import Unlikeliness


def likelihoods(samples):
    return [row.double().mean().item() for row in samples["old_log_probs"].unbind()]


@pytest.mark.parametrize("seed", range(10))
def test_unlikeliness_equals_loops(seed, random_samples):
    samples = random_samples(seed)
    values, ids = likelihoods(samples), samples.group_ids.tolist()
    expected = []
    for i, correct in enumerate(samples.correct.tolist()):
        group = sorted(values[j] for j in range(len(ids)) if ids[j] == ids[i])
        zero_one = correct * (1 - 0.3 * group.index(values[i]) / len(group))
        expected.append(2 * zero_one - 1)
    shaped, metrics = shaped_rewards(Unlikeliness(beta=0.3), samples)
    torch.testing.assert_close(shaped, torch.tensor(expected))
    assert metrics["exploration/likelihood_loss_mean"] == pytest.approx((samples.rewards - shaped).mean().item())


@pytest.mark.parametrize("seed", range(10))
def test_ucpo_equals_loops(seed, random_samples, advantages):
    samples = random_samples(seed)
    values, ids = likelihoods(samples), samples.group_ids.tolist()
    of_grpo = advantages(GRPO(), samples)
    weights = []
    for i, correct in enumerate(samples.correct.tolist()):
        group = [j for j in range(len(ids)) if ids[j] == ids[i] and samples.correct[j]]
        if not correct or len(group) < 2:
            weights.append(1.0)
            continue
        total = math.fsum(math.exp(values[j]) for j in group)
        inverse = {j: 1 / max(math.exp(values[j]) / total, 1e-6) for j in group}
        weights.append(len(group) * (0.6 / len(group) + 0.4 * inverse[i] / math.fsum(inverse.values())))
    reweighted, metrics = UCPO(tau=0.4).reweight_advantages(of_grpo, samples)
    torch.testing.assert_close(reweighted, of_grpo * torch.tensor(weights))
    assert metrics == {"exploration/advantage_weight_max": pytest.approx(max(weights))}
    for group in samples.group_ids.unique():  # the total of a group stays
        right = (samples.group_ids == group) & samples.correct
        assert reweighted[right].sum().item() == pytest.approx(of_grpo[right].sum().item(), abs=1e-5)


def test_by_hand(make_samples, nested):
    rows = [[-1.0, -3.0], [-1.0], [-0.5, -1.5, -1.0], [-5.0]]  # means −2, −1, −1 (a tie), −5
    columns = {
        "old_log_probs": nested(torch.tensor(row) for row in rows),
        "response_mask": nested(torch.ones(len(row), dtype=torch.int64) for row in rows),
    }
    samples = make_samples([True, True, False, True], [0] * 4, **columns)
    # ranks 1, 2.5, 2.5, 0 of 4
    shaped = Unlikeliness().shape_rewards(samples)[0]
    assert shaped.tolist() == pytest.approx([1 - 0.5 / 4, 1 - 0.5 * 2.5 / 4, -1, 1])
    # 1 / q is proportional to e², e, e⁵
    total = math.exp(2) + math.exp(1) + math.exp(5)
    expected = [0.8 + 0.2 * 3 * math.exp(x) / total for x in (2, 1, 5)]
    reweighted = UCPO().reweight_advantages(torch.tensor([1.0, 1.0, -3.0, 1.0]), samples)[0]
    assert reweighted.tolist() == pytest.approx([expected[0], expected[1], -3.0, expected[2]])


def test_the_share_of_an_impossible_response_is_bounded():
    weights = correct_weights(torch.tensor([-1.0, -1000.0]), torch.zeros(2).long(), tau=1.0)
    assert weights.tolist() == pytest.approx([2 * 1e-6, 2.0], rel=1e-5)


def test_only_tokens_that_count_make_the_mean(make_samples, nested):
    columns = {
        "old_log_probs": nested([torch.tensor([-1.0, math.nan, -3.0]), torch.tensor([-7.0])]),
        "response_mask": nested([torch.tensor([1, 0, 1]), torch.tensor([0])]),
    }
    assert make_samples([True, True], [0, 0], **columns).mean_log_probs().tolist() == [-2.0, 0.0]
