"""token_pass against the definition, token by token in float64, on random and adversarial input.

The reference forms what the operation never does: the whole softmax and one phi_t = W[y_t] − Σ_v p_t(v) W[v] for every
token. Every case runs with the PyTorch kernels and with the Triton kernels; the latter need CUDA or Triton's
interpreter, under which `test_softmax_triton.py` starts this file once more.
"""

import importlib
import os

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from g2rl.ops import token_pass

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


@pytest.fixture(params=["torch", "triton"] if INTERPRETED or torch.cuda.is_available() else ["torch"])
def device(request, monkeypatch):
    if request.param == "torch":
        return "cpu"
    if not INTERPRETED:
        return "cuda"
    kernels = importlib.import_module("g2rl.ops.softmax_triton")
    module = importlib.import_module("g2rl.ops.token_pass")
    monkeypatch.setattr(module, "_softmax_and_pool_for", lambda device: kernels.softmax_and_pool)
    return "cpu"


def reference(hidden, weight, token_ids, sequence_ids, S, token_weights=None, bias=None, temperature=1.0):
    hidden, weight = hidden.double(), weight.double()
    logits = hidden @ weight.T + (0 if bias is None else bias.double())
    logits = logits / torch.as_tensor(temperature, dtype=torch.float64).expand(len(hidden))[:, None]
    x = logits - logits.amax(-1, keepdim=True)
    Z = x.exp().sum(-1, keepdim=True)
    p, log_p = x.exp() / Z, x - Z.log()
    entropy = -torch.where(p > 0, p * log_p, 0.0).sum(-1)
    sums, weight_sums = torch.zeros(S, hidden.shape[1]).double(), torch.zeros(S).double()
    for t, s in enumerate(sequence_ids.tolist()):
        a = 1.0 if token_weights is None else float(token_weights[t])
        if s >= 0:
            sums[s] += a * (weight[token_ids[t]] - p[t] @ weight)
            weight_sums[s] += a
    return log_p.gather(1, token_ids[:, None].long())[:, 0], entropy, sums, weight_sums


def check(device, hidden, weight, token_ids, sequence_ids, S, tolerance=1e-5, **options):
    expected = reference(
        hidden, weight, token_ids, sequence_ids, S, **{k: v for k, v in options.items() if k != "chunk_size"}
    )
    options = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    got = token_pass(hidden.to(device), weight.to(device), token_ids.to(device), sequence_ids.to(device), S, **options)
    log_probs, entropy, sums, weight_sums = (x.cpu().double() for x in got)
    torch.testing.assert_close(log_probs, expected[0], rtol=1e-6, atol=10 * tolerance)
    torch.testing.assert_close(entropy, expected[1], rtol=1e-5, atol=10 * tolerance)
    torch.testing.assert_close(weight_sums, expected[3], rtol=1e-6, atol=0)
    divisor = (expected[3] + 1e-8)[:, None]
    error = ((sums - expected[2]) / divisor).norm(dim=-1)
    assert (error <= tolerance * ((expected[2] / divisor).norm(dim=-1) + weight.double().norm(dim=-1).mean())).all()
    return got


def problem(T=23, H=12, V=41, S=4, scale=1.0, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    hidden = (torch.randn(T, H, generator=generator) * scale).to(dtype)
    weight = torch.randn(V, H, generator=generator).to(dtype)
    token_ids = torch.randint(V, (T,), generator=generator)
    sequence_ids = torch.randint(S, (T,), generator=generator).sort().values
    return hidden, weight, token_ids, sequence_ids, S


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("V", [1, 41, 4097])
@pytest.mark.parametrize("chunk_size", [7, 100])
def test_any_vocabulary_and_chunk_size(device, dtype, V, chunk_size):
    tolerance = 1e-5 if dtype == torch.float32 else 1e-4
    check(device, *problem(T=11, V=V, dtype=dtype), tolerance=tolerance, chunk_size=chunk_size)


@pytest.mark.parametrize("mixed", [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.float32)])
def test_hidden_and_weight_of_different_types(device, mixed):
    hidden, weight, *rest = problem()
    check(device, hidden.to(mixed[0]), weight.to(mixed[1]), *rest, tolerance=1e-4)


def test_bias_weights_and_temperature_per_token(device):
    generator = torch.Generator().manual_seed(1)
    check(
        device,
        *problem(),
        bias=torch.randn(41, generator=generator),
        token_weights=torch.rand(23, generator=generator).round(decimals=1),
        temperature=torch.rand(23, generator=generator) + 0.1,
        chunk_size=5,
    )


@pytest.mark.parametrize("temperature", [0.01, 100.0])
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_extreme_temperatures(device, temperature, scale, dtype, tolerance):
    check(device, *problem(scale=scale, dtype=dtype), temperature=temperature, tolerance=tolerance, chunk_size=9)


@pytest.mark.parametrize("largest", [100.0, 1e4])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_logits_of_great_size(device, largest, dtype, tolerance):
    hidden, weight, token_ids, sequence_ids, S = problem(T=60, S=50, H=32, V=60)
    hidden *= largest / (hidden @ weight.T).abs().amax(-1, keepdim=True)
    token_ids[::2] = (hidden @ weight.T).argmax(-1)[::2]
    check(device, hidden.to(dtype), weight.to(dtype), token_ids, sequence_ids, S, tolerance=tolerance, chunk_size=64)


@pytest.mark.parametrize("mixture", [(1e4, -1e4), (1e4, 1e4), (-1e4, -1e4), (0.0, -1e4)])
def test_logits_of_either_sign(device, mixture):
    """Two of three logits as given and the third 0, each token taken in turn."""
    weight = torch.tensor([[mixture[0], 0.0], [mixture[1], 0.0], [0.0, 1.0]])
    hidden = torch.tensor([[1.0, 0.0]] * 3)
    check(device, hidden, weight, torch.arange(3), torch.arange(3), 3)


def test_one_hot_distributions(device):
    weight = torch.eye(7) * 100
    hidden, token_ids = torch.eye(7) * 100, torch.arange(7)
    log_probs, entropy, sums, _ = check(device, hidden, weight, token_ids, torch.arange(7), 7)
    for result in (log_probs, entropy, sums):
        assert (result == 0).all()
    log_probs, entropy, sums, _ = check(device, hidden, weight, (token_ids + 1) % 7, torch.arange(7), 7)
    assert (log_probs == -1e4).all() and (entropy == 0).all()
    torch.testing.assert_close(sums.cpu(), weight.roll(-1, 0) - weight)


def test_ties_are_uniform(device):
    hidden, weight, token_ids, sequence_ids, S = problem()
    _, entropy, *_ = check(device, torch.zeros_like(hidden), weight, token_ids, sequence_ids, S)
    torch.testing.assert_close(entropy.cpu(), torch.full((23,), 41.0).log())
    *_, sums, _ = check(device, hidden, weight[:1].expand(41, -1), token_ids, sequence_ids, S)
    assert sums.abs().max() < 1e-4  # equal rows: every direction is the same


def test_a_forbidden_token_has_no_probability(device):
    hidden, weight, token_ids, sequence_ids, S = problem()
    bias = torch.zeros(41)
    bias[10:30] = -torch.inf
    allowed = torch.cat([torch.arange(10), torch.arange(30, 41)])
    got = check(device, hidden, weight, allowed[token_ids % 21], sequence_ids, S, bias=bias)
    narrow = token_pass(hidden, weight[allowed], token_ids % 21, sequence_ids, S)
    for mine, theirs in zip(got, narrow, strict=True):
        torch.testing.assert_close(mine.cpu(), theirs, rtol=1e-5, atol=1e-5)
    # Where a forbidden token was taken all the same, its log-probability is −inf and nothing else breaks.
    got = check(device, hidden, weight, torch.full_like(token_ids, 15), sequence_ids, S, bias=bias)
    assert (got.log_probs == -torch.inf).all() and got.feature_sums.isfinite().all()
    # A single token that is left has probability one, however unlikely it was.
    bias[:] = -torch.inf
    bias[3] = -1e4
    got = check(device, hidden, weight, torch.full_like(token_ids, 3), sequence_ids, S, bias=bias)
    assert (got.log_probs == 0).all() and (got.entropy == 0).all() and (got.feature_sums == 0).all()


def test_sequences_without_tokens_and_of_one_token(device):
    hidden, weight, token_ids, _, _ = problem(T=5)
    sequence_ids = torch.tensor([2, 3, 5, 5, 9])
    *_, sums, weight_sums = check(device, hidden, weight, token_ids, sequence_ids, 12, chunk_size=2)
    assert (sums[[0, 1, 4, 6, 7, 8, 10, 11]] == 0).all()
    assert weight_sums.tolist() == [0, 0, 1, 1, 0, 2, 0, 0, 0, 1, 0, 0]


def test_no_tokens_at_all(device):
    hidden, weight, token_ids, sequence_ids, S = problem(T=0)
    got = token_pass(*(x.to(device) for x in (hidden, weight, token_ids, sequence_ids)), S)
    assert [list(x.shape) for x in got] == [[0], [0], [4, 12], [4]] and (got.feature_sums == 0).all()
    got = token_pass(*(x.to(device) for x in (hidden, weight, token_ids, sequence_ids)), 0)
    assert list(got.feature_sums.shape) == [0, 12]
    hidden, weight, token_ids, *_ = problem(T=3)  # and tokens without any sequence
    got = check(device, hidden, weight, token_ids, torch.full((3,), -1), 0)
    assert [list(x.shape) for x in got] == [[3], [3], [0, 12], [0]]


@pytest.mark.parametrize("chunk_size", [3, 8, 100])
def test_tokens_of_no_sequence_and_mixed_order(device, chunk_size):
    hidden, weight, token_ids, _, _ = problem(T=12)
    for ids in (
        [-1, -1, 0, 0, -1, -1, 1, 1, 1, -1, 2, -1],  # prompts and padding between responses
        [2, 0, 1, 2, 0, 1, -1, 1, 1, 0, 2, -1],  # interleaved
        [3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0],  # descending
        [-1] * 12,
    ):
        check(device, hidden, weight, token_ids, torch.tensor(ids), 4, chunk_size=chunk_size)


@pytest.mark.parametrize("chunk_size", [7, 64])
def test_many_sequences_of_one_and_two_tokens(device, chunk_size):
    hidden, weight, token_ids, _, _ = problem(T=300)
    check(device, hidden, weight, token_ids, torch.arange(300), 300, chunk_size=chunk_size)
    check(device, hidden, weight, token_ids, torch.arange(300) // 2, 150, chunk_size=chunk_size)


def test_ten_thousand_sequences_of_two_tokens():
    """Also shows what is kept: no tensor of tokens × vocabulary or sequences × vocabulary, not even by the way."""
    T, H, V, S, chunk_size = 20_000, 16, 600, 10_000, 512
    hidden, weight, token_ids, _, _ = problem(T=T, H=H, V=V)
    sequence_ids = torch.arange(T) // 2

    class LargestTensor(TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for x in out if isinstance(out, tuple | list) else [out]:
                if isinstance(x, torch.Tensor):
                    self.numel = max(self.numel, x.numel())
            return out

    with LargestTensor() as largest:
        got = token_pass(hidden, weight, token_ids, sequence_ids, S, chunk_size=chunk_size)
    assert largest.numel == max(chunk_size * V, S * H)
    p = torch.softmax(hidden.double() @ weight.double().T, -1)
    phi = weight.double()[token_ids] - p @ weight.double()
    torch.testing.assert_close(got.feature_sums.double(), phi.view(S, 2, H).sum(1), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_a_broken_token_stays_in_its_own_sequence(device, broken):
    hidden, weight, token_ids, _, _ = problem(T=9)
    sequence_ids = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
    sound = token_pass(hidden, weight, token_ids, sequence_ids, 3)
    hidden[4] = broken
    arguments = [x.to(device) for x in (hidden, weight, token_ids, sequence_ids)]
    got = token_pass(*arguments, 3)
    assert got.log_probs.isnan().nonzero().flatten().tolist() == [4]
    assert got.entropy.isnan().nonzero().flatten().tolist() == [4]
    assert got.feature_sums[1].isnan().all()
    torch.testing.assert_close(got.feature_sums[[0, 2]].cpu(), sound.feature_sums[[0, 2]], rtol=1e-5, atol=1e-5)
    # Without weight, as in padding, it harms nothing.
    weights = torch.tensor([1.0, 1, 1, 1, 0, 1, 1, 1, 1])
    expected = token_pass(
        hidden[weights > 0], weight, token_ids[weights > 0], sequence_ids[weights > 0], 3
    ).feature_sums
    got = token_pass(*arguments, 3, token_weights=weights.to(device))
    torch.testing.assert_close(got.feature_sums.cpu(), expected, rtol=1e-5, atol=1e-5)


def test_sums_of_slices_add_up(device):
    """What ranks that each hold a slice of the tokens rely on."""
    hidden, weight, token_ids, sequence_ids, S = (x.to(device) if torch.is_tensor(x) else x for x in problem())
    whole = token_pass(hidden, weight, token_ids, sequence_ids, S)
    parts = [
        token_pass(hidden[part], weight, token_ids[part], sequence_ids[part], S)
        for part in (slice(0, 9), slice(9, 10), slice(10, 23))
    ]
    torch.testing.assert_close(torch.cat([p.log_probs for p in parts]), whole.log_probs)
    torch.testing.assert_close(sum(p.feature_sums for p in parts), whole.feature_sums, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sum(p.weight_sums for p in parts), whole.weight_sums)


def test_same_chunking_same_bits(device):
    hidden, weight, token_ids, sequence_ids, S = (
        x.to(device) if torch.is_tensor(x) else x for x in problem(T=40, V=5000, H=64)
    )
    runs = [token_pass(hidden, weight, token_ids, sequence_ids, S, chunk_size=16) for _ in range(3)]
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


def test_without_features_the_rest_is_the_same(device):
    hidden, weight, token_ids, sequence_ids, S = (x.to(device) if torch.is_tensor(x) else x for x in problem())
    with_them = token_pass(hidden, weight, token_ids, sequence_ids, S)
    without = token_pass(hidden, weight, token_ids, with_features=False)
    assert torch.equal(without.log_probs, with_them.log_probs) and torch.equal(without.entropy, with_them.entropy)
    assert without.feature_sums is None and without.weight_sums is None


def test_no_graph_and_no_autocast(device):
    hidden, weight, token_ids, sequence_ids, S = (x.to(device) if torch.is_tensor(x) else x for x in problem())
    plain = token_pass(hidden, weight, token_ids, sequence_ids, S)
    hidden.requires_grad_(), weight.requires_grad_()
    with torch.autocast(device_type=hidden.device.type, dtype=torch.bfloat16):
        got = token_pass(hidden, weight, token_ids, sequence_ids, S)
    with torch.inference_mode():
        inference = token_pass(hidden, weight, token_ids, sequence_ids, S)
    for expected, *results in zip(plain, got, inference, strict=True):
        assert all(torch.equal(expected, result) and not result.requires_grad for result in results)


def test_inputs_are_left_as_they_are(device):
    arguments = [x.to(device) if torch.is_tensor(x) else x for x in problem()]
    before = [x.clone() if torch.is_tensor(x) else x for x in arguments]
    token_pass(*arguments, bias=torch.ones(41, device=device), temperature=0.5)
    assert all(torch.equal(a, b) for a, b in zip(arguments[:4], before[:4], strict=True))


def test_strided_and_int32_inputs(device):
    hidden, weight, token_ids, sequence_ids, S = problem()
    wide = torch.cat([hidden, hidden], -1)[:, :12]  # a view with a stride of its own
    assert not wide.is_contiguous()
    check(device, wide, weight.T.contiguous().T, token_ids.int(), sequence_ids.int(), S)
    check(device, hidden, weight, token_ids.repeat_interleave(2)[::2], sequence_ids.repeat_interleave(2)[::2], S)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"hidden": torch.zeros(3, 5)}, "same H"),
        ({"hidden": torch.zeros(3)}, "same H"),
        ({"hidden": torch.zeros(3, 4).double()}, "float32, bfloat16 or float16"),
        ({"lm_head_weight": torch.zeros(0, 4)}, "no rows"),
        ({"token_ids": torch.tensor([0, 1, 6])}, r"\[0, 6\), got values from 0 to 6"),
        ({"token_ids": torch.tensor([0, -100, 2])}, "got values from -100 to 2"),
        ({"token_ids": torch.tensor([0.0, 1, 2])}, "token_ids must hold integers"),
        ({"token_ids": torch.tensor([0, 1])}, r"token_ids must have shape \[3\]"),
        ({"sequence_ids": None}, "with_features=False"),
        ({"sequence_ids": torch.tensor([0, 1, 2])}, "num_sequences = 2"),
        ({"sequence_ids": torch.tensor([0, 1, -2])}, "got values from -2 to 1"),
        ({"sequence_ids": torch.tensor([0, 1])}, "sequence_ids must have shape"),
        ({"token_weights": torch.tensor([1.0, -1, 1])}, "not negative"),
        ({"token_weights": torch.tensor([1.0, torch.nan, 1])}, "finite"),
        ({"token_weights": torch.ones(4)}, "token_weights must have shape"),
        ({"bias": torch.zeros(5)}, r"bias must have shape \[6\]"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"temperature": torch.tensor([1.0, 1, torch.inf])}, "temperature must be positive"),
        ({"temperature": torch.ones(2)}, "temperature must have shape"),
        ({"chunk_size": 0}, "chunk_size must be at least 1"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    arguments = {
        "hidden": torch.zeros(3, 4),
        "lm_head_weight": torch.zeros(6, 4),
        "token_ids": torch.tensor([0, 1, 5]),
        "sequence_ids": torch.tensor([0, 0, 1]),
        "num_sequences": 2,
    }
    token_pass(**arguments)
    with pytest.raises(ValueError, match=message):
        token_pass(**(arguments | change))
