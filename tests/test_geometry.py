"""Pairwise cosines and grouping against brute force."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2rl.geometry import geometry_metrics, negative_share, pairwise_cosines
from g2rl.groups import group_min_max, groups_by_size, in_uniform_group

group_id_lists = st.lists(st.integers(-4, 4), min_size=1, max_size=40).map(torch.tensor)


def cosines_by_loops(features, group_ids):
    cosines = []
    for group in sorted(set(group_ids.tolist())):
        rows = [features[i].double() for i in range(len(features)) if group_ids[i] == group]
        rows = [row for row in rows if row.isfinite().all() and row.norm() > 1e-8]
        for i in range(len(rows)):
            for j in range(i + 1, len(rows)):
                cosines.append(torch.nn.functional.cosine_similarity(rows[i], rows[j], dim=0, eps=1e-30).item())
    return torch.tensor(cosines, dtype=torch.float64)


@given(group_id_lists, st.integers(0, 2**31), st.lists(st.sampled_from([0.0, float("nan"), float("inf")]), max_size=3))
@settings(max_examples=60, deadline=None)
def test_pairwise_cosines_equal_loops_in_order(group_ids, seed, bad):
    features = torch.randn(len(group_ids), 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for row, value in enumerate(bad[: len(group_ids)]):
        features[row] = value
    cosines = pairwise_cosines(features, group_ids)
    expected = cosines_by_loops(features, group_ids)
    torch.testing.assert_close(cosines, expected, atol=1e-12, rtol=0)
    metrics = geometry_metrics(features, group_ids)
    assert metrics["exploration/invalid_features"] == len(bad[: len(group_ids)])
    assert metrics["exploration/negative_pair_share"] == sum(c < 0 for c in expected.tolist()) / max(len(expected), 1)
    mean = sum(expected.tolist()) / max(len(expected), 1)
    assert metrics["exploration/cosine_mean"] == pytest.approx(mean, abs=1e-12)


def test_groups_larger_than_a_block():
    features, group_ids = torch.randn(300, 8), torch.tensor([1] * 200 + [0] * 100)
    torch.testing.assert_close(
        pairwise_cosines(features, group_ids).double(), cosines_by_loops(features, group_ids), atol=1e-6, rtol=0
    )


def test_no_pair():
    cosines = pairwise_cosines(torch.randn(3, 4).bfloat16(), torch.arange(3))
    assert cosines.shape == (0,) and cosines.dtype == torch.float32
    assert negative_share(cosines) == 0.0
    assert pairwise_cosines(torch.zeros(0, 4), torch.zeros(0).long()).shape == (0,)
    assert geometry_metrics(torch.full((2, 4), torch.nan), torch.zeros(2).long()) == {
        "exploration/cosine_mean": 0.0,
        "exploration/negative_pair_share": 0.0,
        "exploration/invalid_features": 2.0,
    }


def test_zero_is_not_negative():
    assert negative_share(torch.tensor([-0.5, 0.0, 0.2, -1e-9])) == 0.5


def test_a_norm_that_overflows_float32_has_no_direction():
    features = torch.full((2, 3), 1e38)
    assert geometry_metrics(features, torch.zeros(2).long())["exploration/invalid_features"] == 2
    assert geometry_metrics(features.double(), torch.zeros(2).long())["exploration/cosine_mean"] == pytest.approx(1)


@given(group_id_lists)
@settings(max_examples=60, deadline=None)
def test_groups_by_size_holds_every_row_once_with_its_group(group_ids):
    seen = []
    for rows_GM in groups_by_size(group_ids):
        for rows in rows_GM.tolist():
            assert rows == [i for i, group in enumerate(group_ids.tolist()) if group == group_ids[rows[0]]]
            seen += rows
    assert sorted(seen) == list(range(len(group_ids)))


@given(group_id_lists, st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_group_min_max_equals_loops(group_ids, seed):
    values = torch.randint(-3, 3, (len(group_ids),), generator=torch.Generator().manual_seed(seed)).double()
    low, high = group_min_max(values, group_ids)
    members = [[v for v, g in zip(values.tolist(), group_ids, strict=True) if g == own] for own in group_ids]
    assert low.tolist() == [min(group) for group in members] and high.tolist() == [max(group) for group in members]
    assert in_uniform_group(values, group_ids).tolist() == [len(set(group)) == 1 for group in members]
