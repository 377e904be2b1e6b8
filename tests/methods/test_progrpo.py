"""ProGRPO's confidences and re-weighted advantages against Python loops, and the shortest prompts and responses."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from g2rl.methods.base import Samples
from g2rl.methods.progrpo import ProGRPO, answer_confidence, prompt_confidence, reweight_advantages

log_probabilities = st.floats(-20, 0, width=32)
ragged = st.lists(st.lists(log_probabilities, max_size=23), min_size=1, max_size=8)


def padded(rows, filler, shift=0):
    """Rows of unequal length as (values, mask), with `shift` unused positions in front and at least one behind."""
    width = max(len(row) for row in rows) + shift + 1
    values, mask = torch.full((len(rows), width), filler), torch.zeros(len(rows), width, dtype=torch.int64)
    for i, row in enumerate(rows):
        values[i, shift : shift + len(row)] = torch.tensor(row)
        mask[i, shift : shift + len(row)] = 1
    return values, mask


@given(ragged, st.sampled_from([0.0, -50.0, 3.0, math.nan]), st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_answer_confidence_equals_loops(rows, filler, shift):
    expected = []
    for row in rows:
        worst = sorted(row)[: max(1, len(row) // 5)]
        expected.append(math.exp(sum(worst) / len(worst)) if worst else 1.0)
    confidence = answer_confidence(*padded(rows, filler, shift))
    assert confidence.dtype == torch.float32
    torch.testing.assert_close(confidence, torch.tensor(expected), rtol=1e-5, atol=0)


@given(ragged, st.sampled_from([0.0, -50.0, math.nan]), st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_prompt_confidence_equals_loops(rows, filler, shift):
    expected = [math.exp(sum(row) / len(row)) if row else 1.0 for row in rows]
    torch.testing.assert_close(
        prompt_confidence(*padded(rows, filler, shift)), torch.tensor(expected), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("tokens", range(1, 5))
def test_a_response_shorter_than_five_tokens_counts_its_least_certain_one(tokens):
    row = [-0.5, -3.0, -0.1, -2.0][:tokens]
    assert answer_confidence(*padded([row], 0.0)).item() == pytest.approx(math.exp(min(row)))


@pytest.mark.parametrize(("fraction", "tokens", "counted"), [(0.29, 100, 29), (0.2, 15, 3), (0.2, 9, 1), (1.0, 7, 7)])
def test_fraction_is_rounded_down(fraction, tokens, counted):
    row = [-float(i) / 10 for i in range(tokens)]
    expected = math.exp(sum(sorted(row)[:counted]) / counted)
    assert answer_confidence(*padded([row], 0.0), fraction=fraction).item() == pytest.approx(expected)


@pytest.mark.parametrize("fraction", [0, -0.2, 1.01, math.nan])
def test_bad_fraction(fraction):
    with pytest.raises(ValueError, match="fraction must be"):
        answer_confidence(torch.zeros(1, 3), torch.ones(1, 3), fraction=fraction)


def test_nothing_to_average_is_full_confidence():
    nothing = torch.full((2, 3), math.nan), torch.zeros(2, 3, dtype=torch.bool)
    assert answer_confidence(*nothing).tolist() == [1.0, 1.0]
    assert prompt_confidence(*nothing).tolist() == [1.0, 1.0]  # a prompt of one token
    assert answer_confidence(torch.zeros(2, 0), torch.zeros(2, 0)).tolist() == [1.0, 1.0]


def test_an_impossible_token_gives_zero_not_nan():
    row = torch.tensor([[-math.inf, -1.0, -1.0]])
    assert answer_confidence(row, torch.ones(1, 3)).item() == 0.0
    assert prompt_confidence(row, torch.ones(1, 3)).item() == 0.0


@given(
    st.lists(
        st.tuples(st.integers(-2, 2), st.booleans(), st.floats(-3, 3), st.floats(0, 1), st.floats(0, 1)), min_size=1
    ),
    st.floats(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_reweighted_advantages_equal_loops(rows, alpha):
    ids, correct, *rest = zip(*rows, strict=True)
    ids, correct = torch.tensor(ids), torch.tensor(correct)
    advantages, response, prompt = (torch.tensor(column, dtype=torch.float64) for column in rest)
    reweighted = reweight_advantages(advantages, correct, response, prompt, ids, alpha=alpha)
    expected = [
        advantage + alpha * (c_prompt - c_response) if any(r[1] for r in rows if r[0] == group) else advantage
        for group, _, advantage, c_response, c_prompt in rows
    ]
    torch.testing.assert_close(reweighted, torch.tensor(expected, dtype=torch.float64))


def random_samples(rewards=None):
    generator = torch.Generator().manual_seed(5)
    rewards = torch.randint(0, 2, (24,), generator=generator) * 2.0 - 1 if rewards is None else rewards
    prompts, responses = torch.randint(1, 9, (2, 24), generator=generator).tolist()
    sequences = [-3 * torch.rand(p + r, generator=generator) for p, r in zip(prompts, responses, strict=True)]
    of_responses = [row[p - 1 : -1] for row, p in zip(sequences, prompts, strict=True)]
    columns = {
        "log_probs": nested(sequences),
        "old_log_probs": nested(of_responses),
        "response_mask": nested([torch.ones(r, dtype=torch.int64) for r in responses]),
    }
    return Samples(rewards > 0, torch.arange(24) % 4, rewards > 0, columns)


def nested(rows):
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def confidences_by_loops(samples):
    """c(o|q) and c(q) of each row from its log-probs, sequence by sequence."""
    of_response, of_prompt = [], []
    rows = zip(samples["log_probs"].unbind(), samples["old_log_probs"].unbind(), strict=True)
    for sequence, response in rows:
        prompt = sequence[: len(sequence) - len(response) - 1].tolist()
        worst = sorted(response.tolist())[: max(1, len(response) // 5)]
        of_response.append(math.exp(sum(worst) / len(worst)))
        of_prompt.append(math.exp(sum(prompt) / len(prompt)) if prompt else 1.0)
    return torch.tensor(of_response), torch.tensor(of_prompt)


def grpo_advantages(samples):
    rewards = samples.rewards[:, None].clone()
    return compute_grpo_outcome_advantage(rewards, torch.ones(24, 1), samples.group_ids.numpy())[0][:, 0]


def test_all_wrong_is_left_alone_and_all_right_is_not():
    wrong, right = random_samples(-torch.ones(24)), random_samples(torch.ones(24))
    assert not wrong.valid.any()
    assert ProGRPO().reweight_advantages(grpo_advantages(wrong), wrong)[0].tolist() == [0.0] * 24
    reweighted, metrics = ProGRPO(alpha=0.5).reweight_advantages(grpo_advantages(right), right)
    of_response, of_prompt = confidences_by_loops(right)
    gap = of_prompt - of_response
    torch.testing.assert_close(reweighted, 0.5 * gap)
    assert metrics == pytest.approx(
        {
            "exploration/response_confidence_mean": of_response.mean().item(),
            "exploration/prompt_confidence_mean": of_prompt.mean().item(),
            "exploration/advantage_shift_mean": 0.5 * gap.mean().item(),
        }
    )
