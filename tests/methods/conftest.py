"""What the tests of the methods share: samples with every column, and the path from samples to advantages."""

import pytest
import torch
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from g2rl.methods.base import Samples, shaped_rewards


@pytest.fixture(scope="session")
def nested():
    return lambda rows: torch.nested.as_nested_tensor(list(rows), layout=torch.jagged)


@pytest.fixture(scope="session")
def make_samples(nested):
    """`make_samples(correct, group_ids, seed, **columns)`: random columns where none are given."""

    def make(correct, group_ids, seed=0, step=1, **columns):
        correct, group_ids = torch.as_tensor(correct, dtype=torch.bool), torch.as_tensor(group_ids)
        generator, rows = torch.Generator().manual_seed(seed), len(correct)
        prompts, responses = torch.randint(1, 9, (2, rows), generator=generator).tolist()
        sequences = [-3 * torch.rand(p + r, generator=generator) for p, r in zip(prompts, responses, strict=True)]
        vectors = {
            name: torch.randn(rows, 12, generator=generator) for name in ("features", "hidden_states", "embeddings")
        }
        of_pass = {
            "log_probs": nested(sequences),
            "old_log_probs": nested(row[p - 1 : -1] for row, p in zip(sequences, prompts, strict=True)),
            "response_mask": nested(torch.ones(r, dtype=torch.int64) for r in responses),
        }
        return Samples(correct, group_ids, torch.ones_like(correct), vectors | of_pass | columns, step)

    return make


@pytest.fixture(scope="session")
def random_samples(make_samples):
    """Groups of one, two and up to eight responses in mixed order; one is all right, one all wrong."""

    def make(seed=0, **columns):
        generator = torch.Generator().manual_seed(seed)
        sizes = [1, 2, 3, 5, 8, 8, 8, 8]
        group_ids = torch.repeat_interleave(torch.arange(8) * 7 - 5, torch.tensor(sizes))
        correct = torch.rand(len(group_ids), generator=generator) < 0.5
        correct[-8:], correct[-16:-8] = True, False
        correct[[-24, -23, -22]] = torch.tensor([True, True, False])  # a mixed group
        order = torch.randperm(len(group_ids), generator=generator)
        return make_samples(correct[order], group_ids[order], seed, **columns)

    return make


@pytest.fixture(scope="session")
def advantages():
    """What the trainer does: shape, verl's standardisation, re-weight."""

    def of(method, samples):
        rewards, _ = shaped_rewards(method, samples)
        one_token = torch.ones(len(rewards), 1)
        standardised, _ = compute_grpo_outcome_advantage(rewards[:, None].clone(), one_token, samples.group_ids.numpy())
        return method.reweight_advantages(standardised[:, 0], samples)[0]

    return of
