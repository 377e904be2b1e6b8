"""Reward shaping: the table of the three forms, a loop-by-loop derivation, the settings' limits."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2rl.shaping import shape_rewards

# A group whose most novel and most redundant members are one correct and one wrong response each.
REWARDS = torch.tensor([1.0, 1.0, -1.0, -1.0])
SCORES = torch.tensor([0.9, 0.2, 0.9, 0.2])
ONE_GROUP = torch.zeros(4, dtype=torch.int64)


@pytest.mark.parametrize("scale", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize(
    ("form", "expected"),  # correct novel, correct redundant, wrong novel, wrong redundant
    [
        ("equation", lambda s: [1 + s, 1, -1 + s, -1]),
        ("prose", lambda s: [1 + s, 1 - s, -1 - s, -1 + s]),
        ("amplify", lambda s: [1 + s, 1, -1 - s, -1]),
    ],
)
def test_table_of_forms(form, expected, scale):
    shaped = shape_rewards(REWARDS, SCORES, ONE_GROUP, form=form, scale=scale)
    torch.testing.assert_close(shaped, torch.tensor(expected(scale)))


def shaped_by_loops(rewards, scores, group_ids, form, scale, clip):
    rewards, scores, group_ids = rewards.tolist(), scores.tolist(), group_ids.tolist()
    shaped = []
    for i, reward in enumerate(rewards):
        group = [j for j in range(len(rewards)) if group_ids[j] == group_ids[i]]
        low, high = min(scores[j] for j in group), max(scores[j] for j in group)
        factor = 1.0
        if high - low >= 1e-6:
            relative = (scores[i] - low) / (high - low)
            factor += scale * {"equation": reward * relative, "prose": 2 * relative - 1, "amplify": relative}[form]
        shaped.append(max(-clip, min(clip, reward * factor)))
    return torch.tensor(shaped, dtype=torch.float64)


@pytest.mark.filterwarnings("ignore:scale=")  # large scales are wanted here, they reach the clip
@given(
    st.lists(st.tuples(st.integers(-2, 2), st.booleans(), st.floats(0, 1)), min_size=1, max_size=30),
    st.sampled_from(["equation", "prose", "amplify"]),
    st.floats(0, 8),
    st.floats(0.1, 4),
)
@settings(max_examples=60, deadline=None)
def test_equals_loops(rows, form, scale, clip):
    ids, correct, scores = (torch.tensor(column) for column in zip(*rows, strict=True))
    rewards, scores = correct * 2.0 - 1, scores.double()
    keywords = {"form": form, "scale": scale, "clip": clip}
    shaped = shape_rewards(rewards, scores, ids, **keywords)
    torch.testing.assert_close(shaped, shaped_by_loops(rewards, scores, ids, **keywords), atol=1e-9, rtol=0)


@pytest.mark.parametrize("form", ["equation", "prose", "amplify"])
def test_scores_within_1e6_are_equal(form):
    rewards, scores = torch.tensor([1.0, -1.0, 1.0]), torch.tensor([0.5, 0.5 + 5e-7, 0.5])
    assert shape_rewards(rewards, scores, torch.zeros(3).long(), form=form).tolist() == [1.0, -1.0, 1.0]
    assert shape_rewards(rewards[:1], scores[:1], torch.zeros(1).long(), form=form).tolist() == [1.0]


@pytest.mark.parametrize("scale", [0.99, 1.0, 1.99, 2.0, 50.0])
@pytest.mark.parametrize("form", ["equation", "prose", "amplify"])
def test_warns_exactly_where_a_wrong_answer_reaches_a_correct_one(form, scale, recwarn):
    shaped = shape_rewards(REWARDS, SCORES, ONE_GROUP, form=form, scale=scale, clip=math.inf)
    overlap = bool(shaped[REWARDS < 0].max() >= shaped[REWARDS > 0].min())
    assert bool(recwarn) == overlap
    if overlap:
        assert recwarn.pop(UserWarning).filename == __file__


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("form", "novel"),
        ("scale", -0.1),
        ("scale", math.nan),
        ("scale", math.inf),
        ("scale", "much"),
        ("clip", 0),
        ("clip", -3.0),
        ("clip", None),
    ],
)
def test_bad_settings(setting, value):
    with pytest.raises(ValueError, match=f"^{setting} must be"):
        shape_rewards(REWARDS, SCORES, ONE_GROUP, **{setting: value})


def test_zero_one_verdicts_are_refused():
    with pytest.raises(ValueError, match=r"2 \* verdict - 1"):
        shape_rewards(torch.tensor([0.0, 1.0]), torch.tensor([0.1, 0.2]), torch.zeros(2).long())
