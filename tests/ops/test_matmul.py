"""The products with the LM head's weight: nothing is rounded below float32."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from g2rl.ops import matmul


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("V", [1, 100, 257])
def test_products_are_float32_whatever_the_weight(dtype, V, monkeypatch):
    monkeypatch.setattr(matmul, "VOCABULARY_BLOCK", 100)
    hidden, weight, pooled = torch.randn(5, 16).to(dtype), torch.randn(V, 16).to(dtype), torch.randn(3, V)
    logits = torch.empty(5, V)
    matmul.logits_into(logits, hidden, weight)
    torch.testing.assert_close(logits.double(), hidden.double() @ weight.double().T, rtol=1e-5, atol=1e-5)
    expected = pooled.double() @ weight.double()
    in_parts = matmul._sum_over_parts(pooled, lambda parts: parts.float() @ weight.float())  # as on CUDA
    for got in (matmul.pooled_times_weight(pooled, weight), in_parts):
        torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-4)


def test_three_bfloat16_parts_make_a_float32():
    x = torch.randn(10_000) * torch.logspace(-20, 20, 10_000)
    parts = matmul.bfloat16_parts(x)
    assert all(part.dtype == torch.bfloat16 for part in parts)
    assert torch.equal(sum(part.double() for part in parts), x.double())


def test_large_logits_come_from_float64():
    """Two candidates 1e-5 apart at a logit of 3,000: float32 cannot tell them apart, the repeated logits can."""
    hidden = torch.tensor([[3000.0, 1e-5], [3.0, 1e-5]])
    weight = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.5, 0.0]])
    logits = hidden @ weight.T
    assert logits[0, 0] == logits[0, 1]
    ordinary = logits[1].clone()
    matmul.repeat_large_logits(logits, hidden, weight, torch.ones(2))
    torch.testing.assert_close(logits[0], torch.tensor([0.0, 1e-5, -1500.0]))
    assert torch.equal(logits[1], ordinary)
    # Large is what is large after the temperature.
    matmul.repeat_large_logits(logits, hidden, weight, torch.tensor([1.0, 0.01]))
    torch.testing.assert_close(logits[1, 1] - logits[1, 0], torch.tensor(1e-5), rtol=1e-3, atol=0)


def test_calls_that_only_cuda_takes_are_calls_pytorch_knows():
    """Shapes and types only, on a machine without a GPU too."""
    with FakeTensorMode():
        hidden, weight = (torch.randn(n, 16, device="cuda").bfloat16() for n in (5, 100))
        matmul.logits_into(torch.empty(5, 100, device="cuda"), hidden, weight)
        got = matmul.pooled_times_weight(torch.randn(3, 100, device="cuda"), weight)
        assert got.shape == (3, 16) and got.dtype == torch.float32 and got.is_cuda
