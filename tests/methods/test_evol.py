"""EVOL-RL's rewards against a derivation response by response, and the constants of its edge cases."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2rl.methods.base import Samples, shaped_rewards
from g2rl.methods.evol import EVOL, evol_rewards


def rewards_by_loops(embeddings, correct, valid, group_ids):
    vectors = [[float(x) for x in row] for row in embeddings.detach().double()]
    correct, valid, group_ids = correct.tolist(), valid.tolist(), group_ids.tolist()

    def similarity(i, j):
        dot = math.fsum(a * b for a, b in zip(vectors[i], vectors[j], strict=True))
        return min(max(dot / (math.hypot(*vectors[i]) * math.hypot(*vectors[j])), 0.0), 1.0)

    rewards = [-1.0] * len(vectors)
    for group in set(group_ids):
        members = [i for i in range(len(vectors)) if group_ids[i] == group and valid[i]]
        if len(members) < 2:
            continue
        for label in (True, False):
            own_class = [i for i in members if correct[i] == label]
            novelty = {}
            for i in own_class:
                mates = [similarity(i, j) for j in own_class if j != i]
                largest = max(similarity(i, j) for j in members if j != i)
                novelty[i] = 1 - 0.5 * (sum(mates) / len(mates) if mates else 0.0) - 0.5 * largest
            for i in own_class:
                spread = max(novelty.values()) - min(novelty.values())
                if len(own_class) == 1:
                    normalised = 1.0
                elif spread < 1e-8:
                    normalised = 0.5
                else:
                    normalised = (novelty[i] - min(novelty.values())) / spread
                rewards[i] = (0.5 if label else -1.0) + 0.5 * normalised
    return torch.tensor(rewards)


@st.composite
def batches(draw):
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    group_ids = torch.tensor([11 * g - 5 for g, size in enumerate(sizes) for _ in range(size)])
    group_ids = group_ids[torch.randperm(len(group_ids), generator=generator)]
    embeddings = torch.randn(len(group_ids), 6, generator=generator) + draw(st.sampled_from([0.0, 0.7, 5.0]))
    correct = torch.rand(len(group_ids), generator=generator) < draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    valid = torch.rand(len(group_ids), generator=generator) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    return embeddings, correct, valid, group_ids


@given(batches())
@settings(max_examples=60, deadline=None)
def test_equals_loops(batch):
    rewards = evol_rewards(*batch)
    assert rewards.dtype == torch.float32
    torch.testing.assert_close(rewards, rewards_by_loops(*batch), atol=1e-5, rtol=0)


def one_group(correct, valid=None, embeddings=None):
    size = len(correct)
    embeddings = torch.ones(size, 384).mul(0.3) if embeddings is None else embeddings
    valid = [True] * size if valid is None else valid
    return evol_rewards(embeddings, torch.tensor(correct), torch.tensor(valid), torch.zeros(size).long()).tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_identical_embeddings(seed, dtype):
    torch.manual_seed(seed)
    same = torch.randn(384).to(dtype).repeat(8, 1)
    assert one_group([True] * 3 + [False] * 5, embeddings=same) == [0.75] * 3 + [-0.75] * 5
    assert one_group([True] + [False] * 7, embeddings=same) == [1.0] + [-0.75] * 7
    assert one_group([True] * 7 + [False], embeddings=same) == [0.75] * 7 + [-0.5]


def test_classes_of_one():
    assert one_group([True, False]) == [1.0, -0.5]


def test_at_most_one_valid_response():
    assert one_group([True, False, False], valid=[True, False, False]) == [-1.0] * 3
    assert one_group([False, False], valid=[False, False]) == [-1.0] * 2
    assert one_group([True]) == [-1.0]


def test_an_invalid_response_is_nobodys_peer():
    torch.manual_seed(3)
    embeddings = torch.randn(6, 16)
    correct, valid = [True, True, False, False, False, True], [True, True, True, True, False, True]
    kept = [0, 1, 2, 3, 5]
    with_invalid = one_group(correct, valid, embeddings)
    without = one_group([correct[i] for i in kept], None, embeddings[kept])
    assert with_invalid[4] == -1.0
    assert [with_invalid[i] for i in kept] == pytest.approx(without, abs=1e-6)


def test_method_hands_its_samples_on():
    torch.manual_seed(4)
    embeddings, rewards = torch.randn(8, 5, requires_grad=True), torch.tensor([1.0, -1.0] * 4)
    valid, group_ids = torch.tensor([True] * 6 + [False] * 2), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    assert EVOL().inputs == {"embeddings"}
    shaped, metrics = shaped_rewards(EVOL(), Samples(rewards > 0, group_ids, valid, {"embeddings": embeddings}))
    expected = rewards_by_loops(embeddings, rewards > 0, valid, group_ids)
    torch.testing.assert_close(shaped, expected, atol=1e-6, rtol=0)
    assert not shaped.requires_grad
    assert metrics == pytest.approx(
        {
            "exploration/shaped_reward_min": expected.min().item(),
            "exploration/shaped_reward_mean": expected.mean().item(),
            "exploration/shaped_reward_max": expected.max().item(),
            "exploration/uniform_group_share": 0.0,
        },
        abs=1e-6,
    )
