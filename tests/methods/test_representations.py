"""RepExp and DRA, which compare vectors of the responses: against another derivation, and by hand."""

import numpy as np
import pytest
import torch

from g2rl.methods.base import shaped_rewards
from g2rl.methods.dra import DRA
from g2rl.methods.rep_exp import RepExp, leverages, sparse_projection


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dimensions", [1, 3, 20])
def test_leverages_equal_the_kernel_form(dtype, dimensions, random_samples):
    group_ids = random_samples().group_ids
    vectors = torch.randn(len(group_ids), dimensions, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = torch.empty(len(group_ids), dtype=torch.float64)
    for group in group_ids.unique():
        centred = vectors[group_ids == group].double()
        centred = centred - centred.mean(0)
        kernel = centred @ centred.T  # zᵀ (λI + ZᵀZ)⁻¹ z is on the diagonal of I − λ (λI + ZZᵀ)⁻¹
        identity = torch.eye(len(kernel), dtype=torch.float64)
        expected[group_ids == group] = 1 - (0.3 * torch.linalg.inv(kernel + 0.3 * identity)).diagonal()
    torch.testing.assert_close(leverages(vectors, group_ids, ridge=0.3), expected, atol=1e-10, rtol=0)


def test_leverages_by_hand_and_without_a_row_that_is_not_finite():
    vectors = torch.tensor([[2.0, 1.0], [-2.0, 1.0], [torch.nan, 0.0]])
    # centred: ±2 in the first direction, so 4 / (0.5 + 8)
    assert leverages(vectors, torch.zeros(3).long(), ridge=0.5).tolist() == pytest.approx([8 / 17, 8 / 17, 0.0])


def test_the_projection_keeps_lengths_and_is_drawn_anew_each_step(random_samples):
    projection = sparse_projection(2500, 400, np.random.default_rng(0))
    scale = (50 / 400) ** 0.5
    assert projection.unique().tolist() == pytest.approx([-scale, 0, scale])
    assert (projection > 0).double().mean().item() == pytest.approx(0.01, abs=5e-4)
    assert (projection < 0).double().mean().item() == pytest.approx(0.01, abs=5e-4)
    vector = torch.randn(2500, dtype=torch.float64)
    assert (vector @ projection).norm().item() == pytest.approx(vector.norm().item(), rel=0.2)
    samples = random_samples()
    drawn = [RepExp(seed=seed).shape_rewards(samples)[0] for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("vectors", ["hidden_states", "features"])
def test_rep_exp_adds_the_leverages_where_a_response_is_correct(vectors, random_samples):
    samples = random_samples(4)
    projection = sparse_projection(12, 5, np.random.default_rng([9, samples.step]))
    bonus = leverages(samples[vectors].double() @ projection, samples.group_ids, 0.2)
    solvable = torch.tensor([bool(samples.correct[samples.group_ids == group].any()) for group in samples.group_ids])
    shaped, metrics = shaped_rewards(RepExp(vectors=vectors, beta=0.1, ridge=0.2, dimensions=5, seed=9), samples)
    zero_one = samples.correct + 0.1 * bonus * solvable
    torch.testing.assert_close(shaped, (2 * zero_one - 1).float())
    assert not solvable.all() and metrics["exploration/leverage_mean"] == pytest.approx(bonus.mean().item())


@pytest.mark.parametrize("seed", range(5))
def test_dra_equals_loops(seed, random_samples):
    samples = random_samples(seed)
    embeddings, expected, total = samples["embeddings"], [], []
    for i in range(len(embeddings)):
        group = (samples.group_ids == samples.group_ids[i]).nonzero().flatten().tolist()
        cosines = [torch.cosine_similarity(embeddings[i], embeddings[j], dim=0).item() for j in group]
        total.append(sum(max(c, 0.0) for c in cosines))
        expected.append(2 / total[-1] - 1 if samples.correct[i] else -1.0)
    shaped, metrics = shaped_rewards(DRA(), samples)
    torch.testing.assert_close(shaped, torch.tensor(expected))
    assert metrics["exploration/similarity_mean"] == pytest.approx(sum(total) / len(total))


def test_dra_by_hand(make_samples):
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [-1.0, -1.0]])
    samples = make_samples([True, True, True, False], [0] * 4, embeddings=embeddings)
    root = 2**-0.5
    expected = [2 / (1 + root) - 1, 2 / (1 + root) - 1, 2 / (1 + 2 * root) - 1, -1]
    assert DRA().shape_rewards(samples)[0].tolist() == pytest.approx(expected)
