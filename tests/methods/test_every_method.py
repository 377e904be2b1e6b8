"""What holds for every method, whatever it computes."""

import math
from dataclasses import replace

import pytest
import torch

from g2rl.methods.base import Method, RewardMethod, Samples, shaped_rewards
from g2rl.methods.dra import DRA
from g2rl.methods.entropy import Entropy
from g2rl.methods.evol import EVOL
from g2rl.methods.g2rl import G2RL
from g2rl.methods.grpo import GRPO
from g2rl.methods.maxrl import MaxRL
from g2rl.methods.passk import PassK
from g2rl.methods.progrpo import ProGRPO
from g2rl.methods.rep_exp import RepExp
from g2rl.methods.ucpo import UCPO
from g2rl.methods.unlikeliness import Unlikeliness
from g2rl.methods.w_reinforce import WReinforce
from g2rl.methods.weighted_maxrl import WeightedMaxRL

LOG_PROBS = {"old_log_probs", "response_mask"}
NEEDS = {
    GRPO: set(),
    Entropy: set(),
    EVOL: {"embeddings"},
    G2RL: {"features"},
    ProGRPO: {"log_probs", *LOG_PROBS},
    MaxRL: set(),
    PassK: set(),
    WReinforce: set(),
    Unlikeliness: LOG_PROBS,
    UCPO: LOG_PROBS,
    RepExp: {"hidden_states"},
    DRA: {"embeddings"},
}
SHAPING = [method for method in NEEDS if issubclass(method, RewardMethod)]


def in_order(samples, order):
    """The same samples with their rows in another order."""
    columns = {}
    for name, column in samples.columns.items():
        rows = [column.unbind()[i] for i in order.tolist()]
        columns[name] = torch.nested.as_nested_tensor(rows, layout=torch.jagged) if column.is_nested else column[order]
    return Samples(samples.correct[order], samples.group_ids[order], samples.valid[order], columns, samples.step)


@pytest.mark.parametrize(("method", "needs"), NEEDS.items())
def test_logging_the_geometry_adds_the_features(method, needs):
    assert method().inputs == needs
    assert method(log_geometry=True).inputs == needs | {"features"}
    assert RepExp(vectors="features").inputs == {"features"}


@pytest.mark.parametrize(
    "method",
    [Method(), GRPO(), Entropy(), ProGRPO(alpha=0), Unlikeliness(beta=0), UCPO(tau=0), RepExp(beta=0)]
    + [G2RL(form=form, scale=0) for form in ("equation", "prose", "amplify")],
)
def test_without_strength_it_is_grpo_to_the_last_bit(method, random_samples, advantages):
    for seed in range(5):
        samples = random_samples(seed)
        assert torch.equal(advantages(method, samples), advantages(GRPO(), samples))


@pytest.mark.parametrize("method", [method for method in NEEDS if method not in (GRPO, Entropy)])
def test_it_differs_from_grpo_and_hands_on_no_gradient(method, random_samples, advantages):
    samples = random_samples()
    for name in NEEDS[method] & {"features", "hidden_states", "embeddings"}:
        samples[name].requires_grad_()
    changed = advantages(method(), samples)
    assert not changed.requires_grad and changed.dtype == torch.float32
    assert not torch.allclose(changed, advantages(GRPO(), samples), atol=1e-3)


@pytest.mark.parametrize("method", NEEDS)
def test_the_order_of_rows_and_the_length_of_vectors_do_not_matter(method, random_samples, advantages):
    for seed in range(5):
        samples = random_samples(seed)
        order = torch.randperm(len(samples.correct), generator=torch.Generator().manual_seed(seed))
        shuffled = in_order(samples, order)
        if method in (G2RL, EVOL, DRA):
            for name in NEEDS[method]:
                shuffled[name].mul_(1000)
        # With the default ridge the leverages of eight vectors in 32 dimensions are equal but for rounding.
        settings = {"ridge": 10} if method is RepExp else {}
        expected = advantages(method(**settings), samples)[order]
        torch.testing.assert_close(advantages(method(**settings), shuffled), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("method", SHAPING)
def test_neutral_leaves_uniform_groups_without_advantage(method, random_samples, advantages):
    samples = random_samples()
    of_grpo, neutral = advantages(GRPO(), samples), advantages(method(uniform_groups="neutral"), samples)
    sizes = (samples.group_ids[:, None] == samples.group_ids).sum(-1)
    uniform = (of_grpo == 0) & (sizes > 1)
    assert uniform.sum() >= 16
    assert neutral[uniform].tolist() == [0.0] * int(uniform.sum())
    mixed = ~uniform & (sizes > 1)
    assert torch.equal(neutral[mixed], advantages(method(), samples)[mixed])
    assert advantages(method(), samples)[uniform & samples.correct].abs().max() > 0.1
    with pytest.raises(ValueError, match=r"^exploration\.uniform_groups"):
        method(uniform_groups="drop")


@pytest.mark.parametrize(
    "method", [G2RL(), RepExp(), RepExp(vectors="features"), Unlikeliness(), UCPO(), DRA(), EVOL()]
)
def test_responses_that_are_all_the_same_leave_grpo(method, random_samples, advantages, nested):
    samples = random_samples()
    rows = len(samples.correct)
    same = {name: torch.randn(1, 2560).repeat(rows, 1) for name in ("features", "hidden_states", "embeddings")}
    same["old_log_probs"] = nested([torch.tensor([-0.3, -0.7])] * rows)
    same["response_mask"] = nested([torch.ones(2, dtype=torch.int64)] * rows)
    samples = replace(samples, columns=samples.columns | same)
    alone = (samples.group_ids[:, None] == samples.group_ids).sum(-1) == 1  # EVOL gives these −1; a rescaled reward
    of_grpo = advantages(GRPO(), samples)[~alone]
    torch.testing.assert_close(advantages(method, samples)[~alone], of_grpo, atol=1e-4, rtol=0)


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
@pytest.mark.parametrize("method", [G2RL(), RepExp(), RepExp(vectors="features")])
def test_bad_vectors_give_finite_advantages(method, bad, random_samples, advantages):
    samples = random_samples()
    for name in method.inputs:
        samples[name][[0, 3]] = bad
    assert advantages(method, samples).isfinite().all()
    for name in method.inputs:
        samples[name][:] = bad
    torch.testing.assert_close(advantages(method, samples), advantages(GRPO(), samples), atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", [EVOL(), DRA()])
@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
def test_a_broken_embedding_is_an_error(method, bad, make_samples):
    embeddings = torch.randn(4, 8)
    embeddings[2:] = bad
    with pytest.raises(ValueError, match=r"zero or non-finite vectors for 2 of 4 responses \(first: row 2\)"):
        method.shape_rewards(make_samples([True, False, True, False], [0] * 4, embeddings=embeddings))


@pytest.mark.parametrize(
    ("method", "setting", "values"),
    [
        (G2RL, "form", ["novel"]),
        (G2RL, "scale", [-0.1, math.nan, math.inf, "much"]),
        (G2RL, "clip", [0, -3.0, None]),
        (G2RL, "seed", [-1, 0.5]),
        (WeightedMaxRL, "scale", [-0.1, 1.1, math.nan, "much"]),
        (WeightedMaxRL, "seed", [-1, 0.5]),
        (ProGRPO, "alpha", [-0.1, math.nan, math.inf, "much"]),
        (PassK, "k", [0, 2.0, True, None]),
        (WReinforce, "positive_weight", [-0.1, math.nan, math.inf]),
        (Unlikeliness, "beta", [-0.1, 1.1, "much"]),
        (UCPO, "tau", [-0.1, 1.1, math.nan]),
        (RepExp, "vectors", ["embeddings"]),
        (RepExp, "beta", [-0.1, math.inf]),
        (RepExp, "ridge", [0, -1]),
        (RepExp, "dimensions", [0, 1.5]),
        (RepExp, "seed", [-1]),
    ],
)
def test_bad_settings_are_named_as_in_the_configuration(method, setting, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"^exploration\.{setting} must be"):
            method(**{setting: value})


def test_metrics_of_every_step(make_samples):
    step = make_samples([True, False, True, False, True], [5, 5, 7, 2, 7])
    assert shaped_rewards(GRPO(), step)[1] == {"exploration/uniform_group_share": pytest.approx(2 / 3)}
    features = torch.tensor([[3.0, 4.0], [-4.0, -3.0], [torch.nan, 0.0]])
    step = make_samples([True, False, True], [0, 0, 0], features=features)
    assert shaped_rewards(GRPO(log_geometry=True), step)[1] == pytest.approx(
        {
            "exploration/uniform_group_share": 0.0,
            "exploration/cosine_mean": -0.96,
            "exploration/negative_pair_share": 1.0,
            "exploration/invalid_features": 1.0,
        }
    )
