"""What goes into verl's scores before its estimator and into its advantages after it, against plain loops."""

import numpy as np
import torch
from verl import DataProto
from verl.trainer.config import AlgoConfig
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from recipe.g2rl.checks.settings import NOT_OUTCOME
from recipe.g2rl.responses import add_to_advantages, add_to_scores, of_responses, response_rows


def nested(rows):
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


# Prompt a has two sessions, the first with two outputs; b has one; then a row that verl pads with.
KEYS = ["a_0_1", "b_0_0", "a_0_0", "a_1_0", "pad_0_0"]
TAGS = [{}, {}, {}, {"is_padding": False}, {"is_padding": True}]


def test_a_response_is_the_last_output_of_its_session():
    rows, session_of_row = response_rows(KEYS, TAGS)
    assert [KEYS[row] for row in rows] == ["a_0_1", "b_0_0", "a_1_0"]
    assert session_of_row == [0, 1, 0, 2, -1]
    rows, session_of_row = response_rows(["a_0_0", "a_0_10", "a_0_9"], [{}] * 3)  # numbers, not text
    assert (rows, session_of_row) == ([1], [0, 0, 0])


def test_scores_change_at_the_last_token_of_every_row_of_a_session():
    """Also of the earlier ones, which verl's estimators other than GRPO read, but not of padding."""
    scores = nested([torch.tensor([0.0, -0.1, 1.0]), torch.tensor([-1.0]), torch.tensor([0.0, 1.0]), torch.zeros(2)])
    changed = add_to_scores(scores, [0, 1, 0, -1], torch.tensor([0.5, 0.25]))
    assert [row.tolist() for row in changed.unbind()] == [
        torch.tensor([0.0, -0.1, 1.5]).tolist(),
        [-0.75],
        [0.0, 1.5],
        [0.0, 0.0],
    ]
    assert scores.unbind()[0][-1] == 1.0  # the user's own stay as they are


def test_advantages_change_at_every_token_that_counts_of_all_rows_of_a_session():
    rows, session_of_row = response_rows(KEYS, TAGS)
    masks = [torch.tensor(mask) for mask in ([0, 1, 1, 0], [1, 1], [1, 0, 1], [0, 1], [0])]
    advantages = [torch.full((len(mask),), float(i)) * mask for i, mask in enumerate(masks)]
    assert of_responses(nested(advantages), nested(masks), rows).tolist() == [0.0, 1.0, 3.0]
    changed = add_to_advantages(nested(advantages), nested(masks), session_of_row, torch.tensor([0.5, -0.5, 2.0]))
    change = [0.5, -0.5, 0.5, 2.0, 0.0]  # by row
    for row, before, mask, expected in zip(changed.unbind(), advantages, masks, change, strict=True):
        assert row.tolist() == (before + expected * mask).tolist()


def test_sessions_are_those_of_verls_grpo():
    """verl standardises the last outputs and gives the others of a session the same advantage."""
    keys = ["a_0_0", "a_0_1", "a_1_0", "a_2_1", "a_2_0", "b_0_0", "b_1_0"]
    totals = torch.tensor([9.0, 1.0, -1.0, -1.0, 9.0, 1.0, -1.0])  # the nines are of earlier outputs
    data = DataProto.from_dict(
        {"token_level_rewards": totals[:, None] * torch.tensor([0.0, 1.0]), "response_mask": torch.ones(7, 2)},
        {"uid": np.array([key[0] for key in keys], dtype=object)},
    )
    advantages = compute_advantage_for_multi_trajectories(data, keys, "grpo").batch["advantages"]
    rows, session_of_row = response_rows(keys, [{}] * 7)
    by_row = of_responses(nested(list(advantages)), nested(list(torch.ones(7, 2))), rows)
    assert torch.equal(advantages[:, 0], by_row[session_of_row])
    for prompt in "ab":
        own = [i for i, row in enumerate(rows) if keys[row][0] == prompt]
        expected = totals[[rows[i] for i in own]]
        torch.testing.assert_close(by_row[own], (expected - expected.mean()) / (expected.std() + 1e-6))


def test_every_estimator_of_verls_takes_shaped_scores_or_is_refused():
    generator = torch.Generator().manual_seed(0)
    keys = [f"{prompt}_{session}_0" for prompt in "abc" for session in range(4)]
    mask = (torch.arange(5) < torch.randint(1, 6, (12, 1), generator=generator)).float()
    scores = torch.randn(12, generator=generator)
    rewards = torch.zeros(12, 5).scatter_(1, mask.sum(1, keepdim=True).long() - 1, scores[:, None])
    config = AlgoConfig()
    for name in sorted(ADV_ESTIMATOR_REGISTRY.keys() - NOT_OUTCOME.keys()):
        data = DataProto.from_dict(
            {"token_level_rewards": rewards.clone(), "response_mask": mask},
            {"uid": np.array([key[0] for key in keys], dtype=object)},
        )
        verl = compute_advantage_for_multi_trajectories(data, keys, name, num_repeat=4, config=config)
        advantages = verl.batch["advantages"]
        assert advantages.isfinite().all() and advantages.abs().sum() > 0, name
        assert (advantages * (1 - mask) == 0).all(), name
    assert {"gae", "remax"} <= NOT_OUTCOME.keys() <= ADV_ESTIMATOR_REGISTRY.keys()
