"""G2RL as the trainer sees it: its metrics, its warning, its placebo."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from g2rl.groups import shuffle_in_groups
from g2rl.methods.base import Samples, shaped_rewards
from g2rl.methods.g2rl import G2RL
from g2rl.novelty import exploration_scores
from g2rl.shaping import shape_rewards


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


def test_a_scale_that_mixes_wrong_and_right_warns():
    with pytest.warns(UserWarning, match=r"exploration\.scale=1\.5 with exploration\.form=prose"):
        G2RL(form="prose", scale=1.5)


def test_the_placebo_deals_out_each_group_s_scores_anew_each_step(random_samples):
    samples = random_samples()
    scores = exploration_scores(samples["features"], samples.rewards, samples.group_ids)
    real, metrics = shaped_rewards(G2RL(), samples)
    placebo, of_placebo = shaped_rewards(G2RL(placebo=True), samples)
    assert of_placebo["exploration/score_mean"] == pytest.approx(metrics["exploration/score_mean"])
    assert not torch.equal(placebo, real)
    # prose is linear in the normalised score, so a group's scores can be read off its shaped rewards
    shuffled = shaped_rewards(G2RL(form="prose", placebo=True), samples)[0] * samples.rewards
    expected = shape_rewards(samples.rewards, scores, samples.group_ids, form="prose") * samples.rewards
    for group in samples.group_ids.unique():
        own = samples.group_ids == group
        torch.testing.assert_close(shuffled[own].sort().values, expected[own].sort().values)
    assert torch.equal(placebo, shaped_rewards(G2RL(placebo=True), samples)[0])
    within = G2RL(form="prose", placebo=True, placebo_within_verdict=True)
    within = shaped_rewards(within, samples)[0] * samples.rewards
    assert not torch.equal(within, expected)
    for group in samples.group_ids.unique():
        for verdict in (True, False):
            own = (samples.group_ids == group) & (samples.correct == verdict)
            torch.testing.assert_close(within[own].sort().values, expected[own].sort().values)
    for other in (G2RL(placebo=True, seed=1), G2RL(placebo=True)):
        step = samples.step + 1 - other.seed
        assert not torch.equal(placebo, shaped_rewards(other, replace(samples, step=step))[0])


def test_every_order_of_a_group_is_as_likely_as_any_other():
    values, ids = torch.tensor([0.0, 10.0, 1.0, 2.0]), torch.tensor([4, -1, 4, 4])
    orders = Counter()
    for step in range(1200):
        shuffled = shuffle_in_groups(values, ids, np.random.default_rng([0, step])).tolist()
        assert shuffled[1] == 10.0
        orders[shuffled[0], shuffled[2], shuffled[3]] += 1
    assert len(orders) == 6 and all(abs(count - 200) < 60 for count in orders.values())  # 4.6 standard deviations
