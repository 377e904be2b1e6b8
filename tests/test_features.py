"""gradient_features against autograd in float64.

The oracle never forms phi_t: it lets autograd differentiate Σ_t a_t log p_t(y_t) with respect to the hidden states,
in float64, and multiplies by the temperature. An error counts relative to the feature's norm plus the mean norm of
the head's rows, the size of what cancels in phi_t.
"""

import numpy as np
import pytest
import torch

from g2rl.features import gradient_features


def oracle(hidden, weight, token_ids, sequence_ids, num_sequences, token_weights=None, bias=None, temperature=1.0):
    hidden = hidden.double().requires_grad_()
    weight, token_ids = weight.double(), token_ids.long()
    temperature = torch.as_tensor(temperature, dtype=torch.float64).expand(len(hidden))
    a = torch.ones(len(hidden), dtype=torch.float64) if token_weights is None else token_weights.double()
    logits = hidden @ weight.T
    if bias is not None:
        logits = logits + bias.double()
    log_p = torch.log_softmax(logits / temperature[:, None], dim=-1)
    chosen = log_p[torch.arange(len(hidden)), token_ids]
    entropy = torch.special.entr(log_p.detach().exp()).sum(-1)
    (gradient,) = torch.autograd.grad(chosen.sum(), hidden)
    phi = gradient * temperature[:, None]
    features = torch.zeros(num_sequences, hidden.shape[1], dtype=torch.float64)
    for s in range(num_sequences):
        mine = sequence_ids == s
        features[s] = (a[mine, None] * phi[mine]).sum(0) / (a[mine].sum() + 1e-8)
    return chosen.detach(), entropy, features


def feature_error(features, expected, weight):
    scale = expected.norm(dim=-1) + weight.double().norm(dim=-1).mean()
    return float(((features.double() - expected).norm(dim=-1) / scale).max())


def packed_ids(lengths):
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


@pytest.mark.parametrize("seed", range(40))
def test_random_shapes_agree_with_autograd(seed):
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    S = int(rng.integers(1, 9))
    ids = packed_ids([int(n) for n in rng.integers(0, 30, S)])
    T, H, V = len(ids), int(rng.integers(1, 70)), int(rng.integers(1, 400))
    logit_scale = float(rng.choice([0.0, 1.0, 5.0, 30.0]))
    hidden = torch.randn(T, H, generator=generator) * logit_scale
    weight = torch.randn(V, H, generator=generator) / H**0.5
    bias = torch.randn(V, generator=generator) if seed % 3 == 0 else None
    temperature = float(rng.uniform(0.3, 2.0)) if seed % 2 else torch.rand(T, generator=generator) + 0.5
    token_weights = None if seed % 4 == 0 else torch.rand(T, generator=generator).round(decimals=1)
    # Half of the tokens are the likely ones, where 1 − p(y) cancels.
    token_ids = torch.where(
        torch.rand(T, generator=generator) < 0.5,
        (hidden @ weight.T).argmax(-1),
        torch.randint(V, (T,), generator=generator),
    )
    log_probs, entropy, features = gradient_features(
        hidden,
        weight,
        token_ids,
        ids,
        S,
        token_weights=token_weights,
        bias=bias,
        temperature=temperature,
        chunk_size=int(rng.integers(1, T + 10)),
    )
    expected = oracle(hidden, weight, token_ids, ids, S, token_weights, bias, temperature)
    torch.testing.assert_close(log_probs.double(), expected[0], rtol=1e-6, atol=1e-4)
    torch.testing.assert_close(entropy.double(), expected[1], rtol=1e-5, atol=1e-4)
    assert features.shape == (S, H) and features.dtype == torch.float32
    assert feature_error(features, expected[2], weight) <= 1e-5
