import pytest
import torch

from g2rl.methods.base import Samples
from g2rl.methods.weighted_maxrl import WeightedMaxRL


def samples_of(seed, step=3):
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.tensor([1, 2, 8, 8, 8, 5])
    ids = torch.repeat_interleave(sizes)[torch.randperm(32, generator=generator)]
    correct = torch.rand(32, generator=generator) < 0.5
    correct[ids == 3], correct[ids == 4] = True, False
    features = torch.randn(32, 6, generator=generator)
    return Samples(correct, ids, torch.ones(32, dtype=torch.bool), {"features": features}, step)


def by_loops(samples, scale, similarity):
    """The docstring in plain loops."""
    vectors, expected = samples["features"].double(), torch.zeros(32, dtype=torch.float64)
    for group in samples.group_ids.unique().tolist():
        rows = (samples.group_ids == group).nonzero()[:, 0].tolist()
        right = [i for i in rows if samples.correct[i]]
        if not right:
            continue
        scores = {}
        for i in right:
            peers = [j for j in rows if j != i]
            attraction = [2.718281828459045 ** (1 if samples.correct[j] else -1) for j in peers]
            cosines = [torch.cosine_similarity(vectors[i], vectors[j], dim=0).item() for j in peers]
            value = {"squared": lambda c: c**2, "positive": lambda c: max(c, 0), "signed": lambda c: c}[similarity]
            explained = sum(w * value(c) for w, c in zip(attraction, cosines, strict=True)) / (sum(attraction) or 1)
            scores[i] = max(1 - explained, 0) ** 0.5 if peers else 0.0
        low, high = min(scores.values()), max(scores.values())
        weights = {
            i: 1 + scale * (2 * (score - low) / (high - low) - 1) if high > low else 1.0 for i, score in scores.items()
        }
        p = len(right) / len(rows)
        for i in rows:
            expected[i] = (1 - p) / p * weights[i] * len(right) / sum(weights.values()) if i in right else -1.0
    return expected


@pytest.mark.parametrize("similarity", ["squared", "positive", "signed"])
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_advantages_are_those_of_the_docstring(scale, similarity):
    for seed in range(4):
        samples = samples_of(seed)
        method = WeightedMaxRL(scale=scale, similarity=similarity)
        advantages, _ = method.reweight_advantages(torch.zeros(32), samples)
        torch.testing.assert_close(advantages.double(), by_loops(samples, scale, similarity), rtol=1e-4, atol=1e-5)


def test_placebo_deals_the_weights_out_anew():
    samples = samples_of(0)
    ours, _ = WeightedMaxRL().reweight_advantages(torch.zeros(32), samples)
    placebo, _ = WeightedMaxRL(placebo=True).reweight_advantages(torch.zeros(32), samples)
    later, _ = WeightedMaxRL(placebo=True).reweight_advantages(torch.zeros(32), samples_of(0, step=4))
    assert not torch.equal(ours, placebo) and not torch.equal(placebo, later)
    for group in range(6):
        rows = (samples.group_ids == group) & samples.correct
        torch.testing.assert_close(ours[rows].sort().values, placebo[rows].sort().values)
    assert torch.equal(ours[~samples.correct], placebo[~samples.correct])


@pytest.mark.parametrize("settings", [{"scale": 1.5}, {"scale": -0.1}, {"similarity": "cubed"}])
def test_bad_settings(settings):
    with pytest.raises(ValueError, match=f"exploration.{next(iter(settings))}"):
        WeightedMaxRL(**settings)
