"""MaxRL, pass@k and W-REINFORCE, which see only what is right and wrong: against brute force, and by hand."""

import itertools
import statistics

import pytest
import torch

from g2rl.methods.grpo import GRPO
from g2rl.methods.maxrl import MaxRL
from g2rl.methods.passk import PassK
from g2rl.methods.w_reinforce import WReinforce


def by_group(samples, of_group):
    """`of_group` maps the 0/1 rewards of one group to its advantages."""
    expected = torch.empty(len(samples.correct), dtype=torch.float64)
    for group in samples.group_ids.unique():
        own = samples.group_ids == group
        expected[own] = torch.tensor(of_group(samples.correct[own].double().tolist()), dtype=torch.float64)
    return expected.float()


def maxrl(rewards):
    mean = statistics.fmean(rewards)
    return [(reward - mean) / mean if mean else 0.0 for reward in rewards]


def sets_of(k):
    """The mean standardised reward of all sets of k that a response is in: no formula of binomials."""

    def of_group(rewards):
        sets = list(itertools.combinations(range(len(rewards)), k))
        worth = [max(rewards[i] for i in members) for members in sets]
        spread = statistics.pstdev(worth) if worth else 0.0
        if not spread:
            return [0.0] * len(rewards)
        standard = [(w - statistics.fmean(worth)) / spread for w in worth]
        return [statistics.fmean(a for a, s in zip(standard, sets, strict=True) if i in s) for i in range(len(rewards))]

    return of_group


@pytest.mark.parametrize(
    ("method", "of_group"), [(MaxRL(), maxrl), *((PassK(k=k), sets_of(k)) for k in (1, 2, 3, 4, 7, 8))]
)
def test_equals_brute_force_for_every_number_of_correct_ones(method, of_group, make_samples, advantages):
    pairs = [(size, right) for size in range(1, 9) for right in range(size + 1)]
    correct = [i < right for size, right in pairs for i in range(size)]
    group_ids = [group for group, (size, _) in enumerate(pairs) for _ in range(size)]
    samples = make_samples(correct, group_ids)
    torch.testing.assert_close(advantages(method, samples), by_group(samples, of_group), atol=2e-5, rtol=2e-5)


def test_published_formulas_by_hand(make_samples, advantages):
    two_of_eight = make_samples([True, True] + [False] * 6, [0] * 8)
    assert advantages(MaxRL(), two_of_eight).tolist() == pytest.approx([3.0] * 2 + [-1.0] * 6, abs=2e-5)
    # rho = 1 - C(6,4)/C(8,4) = 11/14; for a wrong one C(5,3)/C(7,3) = 2/7
    spread = (11 / 14 * 3 / 14) ** 0.5
    expected = [3 / 14 / spread] * 2 + [(3 / 14 - 2 / 7) / spread] * 6
    assert advantages(PassK(), two_of_eight).tolist() == pytest.approx(expected, abs=1e-5)
    assert advantages(WReinforce(), two_of_eight).tolist() == pytest.approx([0.1] * 2 + [-1.0] * 6)
    assert advantages(WReinforce(positive_weight=0), two_of_eight).tolist() == [0.0] * 2 + [-1.0] * 6


def test_a_set_of_one_is_grpo_with_the_population_s_deviation(make_samples, advantages):
    samples = make_samples([True] * 3 + [False] * 5, [0] * 8)
    expected = advantages(GRPO(), samples) * (8 / 7) ** 0.5
    torch.testing.assert_close(advantages(PassK(k=1), samples), expected, atol=1e-5, rtol=0)


def test_what_is_logged(make_samples):
    samples, zeros = make_samples([True, False, False, False, False], [0, 0, 0, 0, 1]), torch.zeros(5)
    assert MaxRL().reweight_advantages(zeros, samples)[1] == {"exploration/advantage_max": pytest.approx(3, abs=2e-5)}
    assert WReinforce().reweight_advantages(zeros, samples)[1] == {"exploration/advantage_mean": pytest.approx(-0.78)}
    logged = PassK(k=2).reweight_advantages(zeros, samples)[1]
    assert logged == {"exploration/group_pass_at_k": pytest.approx((4 * 0.5 + 1) / 5)}  # too few responses count as 1
