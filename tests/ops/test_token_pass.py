"""token_pass and gradient_features against autograd in float64, on random and adversarial input.

The oracle never forms phi_t: it differentiates log p_t(y_t) with respect to the hidden states. Every case runs with the
PyTorch kernels and with the Triton kernels; the latter need CUDA or Triton's interpreter, under which
`test_softmax_triton.py` starts this file once more. An error counts relative to the feature's norm plus the mean norm
of the head's rows, the size of what cancels in phi_t.
"""

import importlib
import os

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from g2rl.features import gradient_features
from g2rl.ops import token_pass

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
MODULE = importlib.import_module("g2rl.ops.token_pass")  # the package gives its name to the function


@pytest.fixture(params=["torch", "triton"] if INTERPRETED or torch.cuda.is_available() else ["torch"])
def device(request, monkeypatch):
    if request.param == "torch":
        return "cpu"
    if not INTERPRETED:
        return "cuda"
    kernels = importlib.import_module("g2rl.ops.softmax_triton")
    monkeypatch.setattr(MODULE, "_softmax_and_pool_for", lambda device: kernels.softmax_and_pool)
    return "cpu"


def oracle(hidden, weight, token_ids, sequence_ids, S, token_weights=None, bias=None, temperature=1.0):
    hidden, weight = hidden.double().requires_grad_(), weight.double()
    temperature = torch.as_tensor(temperature, dtype=torch.float64).expand(len(hidden))[:, None]
    log_p = torch.log_softmax((hidden @ weight.T + (0 if bias is None else bias.double())) / temperature, -1)
    chosen = log_p.gather(1, token_ids[:, None].long())[:, 0]
    phi = temperature * torch.autograd.grad(chosen.sum(), hidden)[0]
    a = (sequence_ids >= 0) * (torch.ones(len(hidden)) if token_weights is None else token_weights).double()
    sums = torch.zeros(S, hidden.shape[1]).double().index_add(0, sequence_ids.clamp(min=0).long(), a[:, None] * phi)
    weight_sums = torch.zeros(S).double().index_add(0, sequence_ids.clamp(min=0).long(), a)
    entropy = torch.special.entr(log_p.detach().exp()).sum(-1)
    return chosen.detach(), entropy, sums / (weight_sums + 1e-8)[:, None]


def check(device, hidden, weight, token_ids, sequence_ids, S, tolerance=1e-5, chunk_size=None, **options):
    expected = oracle(hidden, weight, token_ids, sequence_ids, S, **options)
    options = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    arguments = [x.to(device) for x in (hidden, weight, token_ids, sequence_ids)]
    got = gradient_features(*arguments, S, chunk_size=chunk_size, **options)
    assert all(x.dtype == torch.float32 for x in got)
    torch.testing.assert_close(got.log_probs.cpu().double(), expected[0], rtol=1e-6, atol=10 * tolerance)
    torch.testing.assert_close(got.entropy.cpu().double(), expected[1], rtol=1e-5, atol=10 * tolerance)
    error = (got.features.cpu().double() - expected[2]).norm(dim=-1)
    assert (error <= tolerance * (expected[2].norm(dim=-1) + weight.double().norm(dim=-1).mean())).all()
    return got


def problem(T=23, H=12, V=41, S=4, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(T, H, generator=generator) * scale
    weight = torch.randn(V, H, generator=generator)
    token_ids = torch.randint(V, (T,), generator=generator)
    return hidden, weight, token_ids, torch.randint(S, (T,), generator=generator).sort().values, S


def on(device, arguments):
    return [x.to(device) if torch.is_tensor(x) else x for x in arguments]


@pytest.mark.parametrize("seed", range(40))
def test_random_shapes(device, seed, monkeypatch):
    """Sequences without tokens among them, padding behind, all options, float types of both; seed 0 has no token."""
    generator = torch.Generator().manual_seed(seed)

    def integer(low, high):
        return int(torch.randint(low, high + 1, (), generator=generator))

    monkeypatch.setattr(MODULE, "SEQUENCE_BLOCK", integer(1, 10))
    T, S = integer(1, 80) if seed else 0, integer(1, 9)
    V = 1 if seed == 1 else 4097 if seed % 10 == 2 else integer(2, 400)
    hidden, weight, token_ids, sequence_ids, S = problem(T, integer(1, 70), V, S, [0.0, 1.0, 5.0][seed % 3], seed)
    weight /= weight.shape[1] ** 0.5
    sequence_ids[T - integer(0, T // 3) :] = -1
    # Half of the tokens are the likely ones, where 1 − p(y) cancels.
    token_ids = torch.where(torch.rand(T, generator=generator) < 0.5, (hidden @ weight.T).argmax(-1), token_ids)
    types = [torch.float32, torch.bfloat16, torch.float16, torch.float32, torch.float32]
    dtypes = types[seed % 5], types[seed % 4]
    check(
        device, hidden.to(dtypes[0]), weight.to(dtypes[1]), token_ids, sequence_ids, S,
        tolerance=1e-5 if set(dtypes) == {torch.float32} else 1e-4,
        chunk_size=integer(1, T + 10),
        token_weights=torch.rand(T, generator=generator).round(decimals=1) if seed % 4 else None,
        bias=torch.randn(V, generator=generator) if seed % 3 == 0 else None,
        temperature=torch.rand(T, generator=generator) + 0.3 if seed % 2 else 0.7,
    )  # fmt: skip


@pytest.mark.parametrize("largest, temperature", [(10, 0.01), (300, 100.0), (100, 1.0), (1e4, 1.0), (1e4, 100.0)])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_large_logits_and_extreme_temperatures(device, largest, temperature, dtype, tolerance):
    hidden, weight, token_ids, sequence_ids, S = problem(T=60, S=50, H=32, V=60)
    hidden *= largest / (hidden @ weight.T).abs().amax(-1, keepdim=True)
    token_ids[::2] = (hidden @ weight.T).argmax(-1)[::2]
    arguments = hidden.to(dtype), weight.to(dtype), token_ids, sequence_ids, S
    check(device, *arguments, tolerance=tolerance, temperature=temperature)


@pytest.mark.parametrize("mixture", [(1e4, -1e4), (1e4, 1e4), (-1e4, -1e4), (0.0, -1e4)])
def test_logits_of_either_sign(device, mixture):
    """Two of three logits as given and the third 0, each token taken in turn."""
    weight = torch.tensor([[mixture[0], 0.0], [mixture[1], 0.0], [0.0, 1.0]])
    check(device, torch.tensor([[1.0, 0.0]] * 3), weight, torch.arange(3), torch.arange(3), 3)


def test_certain_and_uniform_distributions(device):
    rows, token_ids = torch.eye(7) * 100, torch.arange(7)
    for result in check(device, rows, rows, token_ids, token_ids, 7):
        assert (result == 0).all()
    log_probs, entropy, features = check(device, rows, rows, (token_ids + 1) % 7, token_ids, 7)
    assert (log_probs == -1e4).all() and (entropy == 0).all()
    torch.testing.assert_close(features.cpu(), rows.roll(-1, 0) - rows)
    hidden, weight, *rest = problem()
    _, entropy, _ = check(device, torch.zeros_like(hidden), weight, *rest)
    torch.testing.assert_close(entropy.cpu(), torch.full((23,), 41.0).log())
    features = check(device, hidden, weight[:1].expand(41, -1), *rest).features
    assert features.abs().max() < 1e-4  # equal rows: every direction is the same


def test_no_tensor_grows_with_tokens_or_sequences_times_vocabulary():
    T, H, V, S, chunk_size = 6000, 16, 600, 600, 128
    hidden, weight, token_ids, *_ = problem(T=T, H=H, V=V)

    class LargestTensor(TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for x in out if isinstance(out, tuple | list) else [out]:
                self.numel = max(self.numel, x.numel() if isinstance(x, torch.Tensor) else 0)
            return out

    with LargestTensor() as largest:
        check("cpu", hidden, weight, token_ids, torch.arange(T) // 10, S, chunk_size=chunk_size)
        whole, largest.numel = largest.numel, 0
        token_pass(hidden, weight, token_ids, torch.arange(T) // 10, S, chunk_size=chunk_size)
    assert largest.numel == chunk_size * V < T * V == whole  # the oracle forms them all


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_a_broken_token_stays_in_its_own_sequence(device, broken):
    hidden, weight, token_ids, *_ = problem(T=9)
    arguments = on(device, (hidden, weight, token_ids, torch.arange(9) // 3, 3))
    sound = gradient_features(*arguments)
    arguments[0] = arguments[0].clone()
    arguments[0][4] = broken
    got = gradient_features(*arguments)
    assert [x.isnan().nonzero().flatten().tolist() for x in (got.log_probs, got.entropy)] == [[4], [4]]
    assert got.features[1].isnan().all()
    torch.testing.assert_close(got.features[[0, 2]], sound.features[[0, 2]], rtol=1e-5, atol=1e-5)
    # Without weight, as in padding, it harms nothing.
    without = torch.ones(9, device=device).index_fill(0, torch.tensor([4], device=device), 0.0)
    kept = without > 0
    expected = gradient_features(*(x[kept] if len(x) == 9 else x for x in arguments[:4]), 3).features
    got = gradient_features(*arguments, token_weights=without).features
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_sums_of_slices_add_up(device):
    """What ranks that each hold a slice of the tokens rely on; the last slice is nothing but padding."""
    *tokens, S = on(device, problem())
    hidden, weight, token_ids, sequence_ids = tokens
    sequence_ids[20:] = -1
    whole = token_pass(*tokens, S)
    parts = [
        token_pass(hidden[part], weight, token_ids[part], sequence_ids[part], S)
        for part in (slice(0, 9), slice(9, 10), slice(10, 20), slice(20, 23))
    ]
    torch.testing.assert_close(torch.cat([p.log_probs for p in parts]), whole.log_probs)
    torch.testing.assert_close(sum(p.feature_sums for p in parts), whole.feature_sums, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sum(p.weight_sums for p in parts), whole.weight_sums)
    assert (parts[3].weight_sums == 0).all() and (parts[3].feature_sums == 0).all()


def test_same_bits_whatever_is_around(device):
    """Again, under autocast, inference mode and autograd, and without features; the inputs stay as they are."""
    arguments = on(device, problem(T=40, V=5000, H=64))
    before = [x.clone() for x in arguments[:4]]
    options = {"chunk_size": 16, "bias": torch.ones(5000, device=device), "temperature": 0.5}
    first = token_pass(*arguments, **options)
    runs = [token_pass(*arguments, **options)]
    with torch.inference_mode():
        runs.append(token_pass(*arguments, **options))
    assert all(torch.equal(a, b) for a, b in zip(arguments, before, strict=False))
    arguments[0].requires_grad_(), arguments[1].requires_grad_()
    with torch.autocast(device_type=arguments[0].device.type, dtype=torch.bfloat16):
        runs.append(token_pass(*arguments, **options))
    for run in runs:
        assert all(torch.equal(a, b) and not a.requires_grad for a, b in zip(run, first, strict=True))
    without = token_pass(*arguments[:3], **options, with_features=False)
    assert torch.equal(without.log_probs, first.log_probs) and torch.equal(without.entropy, first.entropy)
    assert without.feature_sums is None and without.weight_sums is None


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
        ({"hidden": torch.zeros(3, 4).double()}, "float32, bfloat16 or float16"),
        ({"lm_head_weight": torch.zeros(0, 4)}, "no rows"),
        ({"token_ids": torch.tensor([0, -100, 2])}, r"\[0, 6\), got values from -100 to 2"),
        ({"token_ids": torch.tensor([0.0, 1, 2])}, "token_ids must hold integers"),
        ({"sequence_ids": None}, "with_features=False"),
        ({"sequence_ids": torch.tensor([0, 1, 2])}, r"\[-1, 2\), got values from 0 to 2"),
        ({"sequence_ids": torch.tensor([0, 1])}, r"sequence_ids must have shape \[3\]"),
        ({"sequence_ids": torch.tensor([0, 1, 0])}, "ascending order"),
        ({"sequence_ids": torch.tensor([-1, 0, 1])}, "ascending order"),
        ({"num_sequences": 0}, "num_sequences of at least 1"),
        ({"token_weights": torch.tensor([1.0, -1, torch.nan])}, "finite and not negative"),
        ({"bias": torch.zeros(5)}, r"bias must have shape \[6\]"),
        ({"temperature": torch.tensor([1.0, 0, torch.inf])}, "temperature must be positive"),
        ({"chunk_size": 0}, "chunk_size must be at least 1"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    fitting = {"hidden": torch.zeros(3, 4), "lm_head_weight": torch.zeros(6, 4), "token_ids": torch.tensor([0, 1, 5])}
    fitting |= {"sequence_ids": torch.tensor([0, 0, 1]), "num_sequences": 2}
    token_pass(**fitting)
    with pytest.raises(ValueError, match=message):
        token_pass(**(fitting | change))
