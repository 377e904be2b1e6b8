import pytest
import torch

from g2rl.models.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(8, 8), (64, 24), (24, 64), (1, 5), (192, 512)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_orthogonalise_keeps_the_singular_vectors_and_levels_the_values(shape, scale):
    torch.manual_seed(0)
    rank = min(shape)
    left, _ = torch.linalg.qr(torch.randn(shape[0], rank))
    right, _ = torch.linalg.qr(torch.randn(shape[1], rank))
    values = torch.linspace(0.2, 1.0, rank)
    matrix = scale * left @ torch.diag(values) @ right.T
    result = orthogonalise(matrix)
    inner = left.T @ result @ right  # diagonal where the singular vectors are kept
    assert torch.allclose(inner, torch.diag(inner.diagonal()), atol=1e-3)
    assert inner.diagonal().min() > 0.6 and inner.diagonal().max() < 1.25
    assert torch.allclose(left @ inner @ right.T, result, atol=1e-3)


def test_zero_gradient_moves_nothing():
    parameter = torch.nn.Parameter(torch.ones(3, 4))
    parameter.grad = torch.zeros(3, 4)
    Muon([parameter], lr=1.0).step()
    assert torch.equal(parameter, torch.ones(3, 4))


def test_steps_are_nesterov_momentum():
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.zeros(6, 3))
    optimizer = Muon([parameter], lr=0.1, momentum=0.9)
    average, expected = torch.zeros(6, 3), torch.zeros(6, 3)
    for _ in range(3):
        gradient = torch.randn(6, 3)
        parameter.grad = gradient.clone()
        optimizer.step()
        average = 0.9 * average + 0.1 * gradient
        expected -= 0.1 * 2**0.5 * orthogonalise(0.9 * average + 0.1 * gradient)
    assert torch.allclose(parameter, expected, atol=1e-6)
