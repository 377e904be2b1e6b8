"""Exploration scores against a loop-by-loop derivation in Python floats, and their invariances."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from g2rl.novelty import exploration_scores
from g2rl.shaping import shape_rewards


def scores_by_loops(features, rewards, group_ids, square_root=True, similarity="squared"):
    """Eq. 9–11, one response after the other, as an orthogonal decomposition rather than with matrix products."""
    features, rewards, group_ids = features.double().tolist(), rewards.tolist(), group_ids.tolist()

    def usable(vector):
        return all(math.isfinite(x) for x in vector) and math.sqrt(sum(x * x for x in vector)) > 1e-8

    scores = []
    for i, own in enumerate(features):
        peers = [j for j in range(len(features)) if j != i and group_ids[j] == group_ids[i] and usable(features[j])]
        if not usable(own) or not peers:
            scores.append(0.0)
            continue
        total = sum(math.exp(rewards[j]) for j in peers)
        explained = 0.0
        for j in peers:
            dot = sum(a * b for a, b in zip(own, features[j], strict=True))
            cosine = dot / math.sqrt(sum(a * a for a in own) * sum(b * b for b in features[j]))
            counted = {"squared": cosine**2, "positive": max(cosine, 0.0), "signed": cosine}[similarity]
            explained += math.exp(rewards[j]) / total * counted
        left = max(1 - explained, 0.0)
        scores.append(math.sqrt(left) if square_root else left)
    return torch.tensor(scores, dtype=torch.float64)


@st.composite
def batches(draw):
    """Unequal groups in mixed order, correlated features, some of them zero, NaN or infinite."""
    sizes = draw(st.lists(st.integers(1, 7), min_size=1, max_size=6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    group_ids = torch.tensor([7 * g - 3 for g, size in enumerate(sizes) for _ in range(size)])
    group_ids = group_ids[torch.randperm(len(group_ids), generator=generator)]
    width = draw(st.integers(1, 9))
    features = torch.randn(len(group_ids), width, generator=generator, dtype=torch.float64)
    features += draw(st.sampled_from([0.0, 1.0, 30.0]))
    for row in draw(st.lists(st.integers(0, len(group_ids) - 1), max_size=3)):
        features[row] = 0.0
        features[row, 0] = draw(st.sampled_from([0.0, 1e-12, float("nan"), float("inf"), -float("inf")]))
    rewards = torch.randint(0, 2, (len(group_ids),), generator=generator) * 2.0 - 1
    return features, rewards, group_ids


@given(batches(), st.booleans(), st.sampled_from(["squared", "positive", "signed"]))
@settings(max_examples=60, deadline=None)
def test_equals_loops(batch, square_root, similarity):
    scores = exploration_scores(*batch, square_root=square_root, similarity=similarity)
    # The root stretches rounding near 0: compare there what stands under it.
    power = 2 if square_root else 1
    expected = scores_by_loops(*batch, square_root=square_root, similarity=similarity)
    torch.testing.assert_close(scores**power, expected**power, atol=1e-12, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_features_lose_nothing_more(dtype):
    torch.manual_seed(0)
    features = torch.randn(48, 200).to(dtype)
    rewards, group_ids = torch.ones(48), torch.arange(48) % 6
    rewards[::3] = -1
    scores = exploration_scores(features, rewards, group_ids)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.double(), scores_by_loops(features, rewards, group_ids), atol=1e-7, rtol=0)


def test_hand_computed_group():
    # Directions at 0°, 60° and 90°; cos² between them 1/4, 0 and 3/4. One correct (0°), two wrong.
    features = torch.tensor([[1.0, 0.0], [0.5, math.sqrt(0.75)], [0.0, 5.0]], dtype=torch.float64)
    rewards, group_ids = torch.tensor([1.0, -1.0, -1.0]), torch.zeros(3, dtype=torch.int64)
    share = math.e**2 / (math.e**2 + 1)  # weight of the correct peer beside a wrong one
    expected = [1 - 1 / 8, 1 - (share / 4 + (1 - share) * 3 / 4), 1 - (1 - share) * 3 / 4]
    scores = exploration_scores(features, rewards, group_ids, square_root=False)
    torch.testing.assert_close(scores, torch.tensor(expected, dtype=torch.float64))


def test_a_peer_without_direction_changes_nothing_for_the_others():
    torch.manual_seed(1)
    features, rewards, group_ids = torch.randn(6, 5), torch.tensor([1.0, -1, 1, -1, 1, -1]), torch.zeros(6).long()
    without = exploration_scores(features[1:], rewards[1:], group_ids[1:])
    for bad in (0.0, float("nan"), float("inf")):
        features[0] = bad
        scores = exploration_scores(features, rewards, group_ids)
        assert scores[0] == 0
        torch.testing.assert_close(scores[1:], without, atol=1e-7, rtol=0)


def test_no_peer_no_score():
    one = exploration_scores(torch.randn(1, 4), torch.ones(1), torch.zeros(1).long())
    only_usable = exploration_scores(
        torch.tensor([[1.0, 2.0], [0.0, 0.0], [float("nan"), 1.0]]), torch.ones(3), torch.zeros(3).long()
    )
    assert one.tolist() == [0.0] and only_usable.tolist() == [0.0, 0.0, 0.0]
    assert exploration_scores(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long()).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_identical_features_score_zero_far_below_the_smallest_range(dtype):
    torch.manual_seed(2)
    features = torch.randn(2560).to(dtype).repeat(16, 1)
    scores = exploration_scores(features, torch.ones(16), torch.zeros(16).long())
    assert scores.max() < 1e-6


def test_orthogonal_features_score_one():
    assert exploration_scores(torch.eye(5), torch.ones(5), torch.zeros(5).long()).tolist() == [1.0] * 5


@given(batches(), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_order_of_rows_and_lengths_of_features_do_not_matter(batch, seed):
    features, rewards, group_ids = batch
    generator = torch.Generator().manual_seed(seed)
    # Lengths apart by up to 1e6, but none that takes a feature across the border to "zero".
    lengths = 10 ** (6 * torch.rand(len(features), 1, generator=generator, dtype=torch.float64))
    tiny = features.norm(dim=1, keepdim=True) < 1e-8
    signs = torch.randint(0, 2, (len(features), 1), generator=generator) * 2 - 1
    order = torch.randperm(len(features), generator=generator)
    scaled = features * torch.where(tiny, 1.0, lengths) * signs
    scores = exploration_scores(scaled[order], rewards[order], group_ids[order], square_root=False)
    expected = exploration_scores(features, rewards, group_ids, square_root=False)[order]
    torch.testing.assert_close(scores, expected, atol=1e-12, rtol=0)


class Kernels(TorchDispatchMode):
    """Counts what is computed, kernel by kernel."""

    def __init__(self):
        super().__init__()
        self.calls, self.numbers = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.calls += 1
        self.numbers += result.numel() if isinstance(result, torch.Tensor) else 0
        return result


def test_the_work_is_linear_in_the_groups_and_nothing_loops_over_responses():
    counted = []
    for groups in (16, 64):
        features, rewards, group_ids = torch.randn(16 * groups, 32), torch.ones(16 * groups), torch.arange(16 * groups)
        with Kernels() as kernels:
            shape_rewards(rewards, exploration_scores(features, rewards, group_ids % groups), group_ids % groups)
        counted.append(kernels)
    small, large = counted
    assert large.numbers < 5 * small.numbers  # 4 is linear, 16 would be pairs of all responses
    assert large.calls < 5 * small.calls and large.calls < len(features)
