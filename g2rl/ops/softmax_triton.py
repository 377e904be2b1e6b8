"""Softmax statistics of a chunk of logits and the pooling of its residuals, in two Triton kernels.

The first reads each row of logits once (online softmax) and leaves its maximum, its sum of exponentials, the
log-probability and the entropy. The second reads the logits of the weighted tokens once more and adds a sequence's
residuals up in registers: one program per block of the vocabulary and sequence, so nothing is added atomically and
the result is deterministic.

Same contract as `softmax_torch.softmax_and_pool`, but the logits are left as they are.
Shape suffixes: t tokens of a chunk, V vocabulary, R sequences.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

STATISTICS_BLOCK_V = 4096
POOL_BLOCK_T, POOL_BLOCK_V = 8, 512


def softmax_and_pool(
    logits_tV: Tensor,
    token_ids_t: Tensor,
    temperature_t: Tensor,
    bias_V: Tensor | None,
    weight_t: Tensor,
    row_t: Tensor,
    residuals_RV: Tensor,
) -> tuple[Tensor, Tensor]:
    t, V = logits_tV.shape
    maximum_t, Z_t, log_probs_t, entropy_t = torch.empty(4, t, dtype=torch.float32, device=logits_tV.device)
    has_bias = bias_V is not None
    bias_V = logits_tV if bias_V is None else bias_V.contiguous()  # without a bias, a pointer that nobody follows
    _statistics_kernel[(t,)](
        logits_tV, token_ids_t, temperature_t, bias_V, maximum_t, Z_t, log_probs_t, entropy_t,
        V, HAS_BIAS=has_bias, BLOCK_V=STATISTICS_BLOCK_V,
    )  # fmt: skip
    if R := len(residuals_RV):
        row_starts = torch.searchsorted(row_t, torch.arange(R + 1, device=logits_tV.device))
        _pool_kernel[(triton.cdiv(V, POOL_BLOCK_V), R)](
            logits_tV, token_ids_t, temperature_t, bias_V, maximum_t, Z_t, weight_t, row_starts, residuals_RV,
            V, HAS_BIAS=has_bias, BLOCK_T=POOL_BLOCK_T, BLOCK_V=POOL_BLOCK_V,
        )  # fmt: skip
    return log_probs_t, entropy_t


@triton.jit
def _statistics_kernel(
    logits_ptr, token_ids_ptr, temperature_ptr, bias_ptr, maximum_ptr, Z_ptr, log_probs_ptr, entropy_ptr,
    V, HAS_BIAS: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """One program per token; x the scaled logits, m their maximum, Z = Σ exp(x − m), A = Σ exp(x − m) (x − m)."""
    token = tl.program_id(0).to(tl.int64)
    row_ptr = logits_ptr + token * V
    scale = 1.0 / tl.load(temperature_ptr + token)  # a division for each logit would take as long as reading it
    m = -3.0e38  # finite, so that (m − new m) below is never inf − inf
    Z = 0.0
    A = 0.0
    for start in range(0, V, BLOCK_V):
        column = start + tl.arange(0, BLOCK_V)
        inside = column < V
        x = tl.load(row_ptr + column, mask=inside, other=-float("inf"))
        if HAS_BIAS:
            x += tl.load(bias_ptr + column, mask=inside, other=0.0).to(tl.float32)
        x = x * scale
        new_m = tl.maximum(m, tl.max(x, 0))
        e = tl.exp(x - new_m)
        shrink = tl.exp(m - new_m)
        A = shrink * (A + (m - new_m) * Z) + tl.sum(tl.where(e > 0, e * (x - new_m), 0.0), 0)
        Z = shrink * Z + tl.sum(e, 0)
        m = new_m
    target = tl.load(token_ids_ptr + token)
    x_target = tl.load(row_ptr + target)
    if HAS_BIAS:
        x_target += tl.load(bias_ptr + target).to(tl.float32)
    log_Z = tl.log(Z)
    tl.store(maximum_ptr + token, m)
    tl.store(Z_ptr + token, Z)
    tl.store(log_probs_ptr + token, x_target * scale - m - log_Z)
    tl.store(entropy_ptr + token, log_Z - A / Z)


@triton.jit
def _pool_kernel(
    logits_ptr, token_ids_ptr, temperature_ptr, bias_ptr, maximum_ptr, Z_ptr, weight_ptr, row_starts_ptr, residuals_ptr,
    V, HAS_BIAS: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """One program per vocabulary block and sequence: residuals[row, v] += Σ_t a_t (1[y_t = v] − exp(x − m) / Z)."""
    column = tl.program_id(0) * BLOCK_V + tl.arange(0, BLOCK_V)
    row = tl.program_id(1).to(tl.int64)
    inside = column < V
    first = tl.load(row_starts_ptr + row)
    stop = tl.load(row_starts_ptr + row + 1)
    if first == stop:  # the chunk has no token of this sequence
        return
    bias = 0.0
    if HAS_BIAS:
        bias = tl.load(bias_ptr + column, mask=inside, other=0.0).to(tl.float32)[None, :]
    total = tl.zeros([BLOCK_V], dtype=tl.float32)
    for start in range(first, stop, BLOCK_T):
        token = start + tl.arange(0, BLOCK_T)
        weight = tl.load(weight_ptr + token, mask=token < stop, other=0.0)
        weighted = weight != 0  # the others are neither read nor added: their logits may be NaN
        target = tl.load(token_ids_ptr + token, mask=weighted, other=-1)
        maximum = tl.load(maximum_ptr + token, mask=weighted, other=0.0)
        Z = tl.load(Z_ptr + token, mask=weighted, other=1.0)
        scale = 1.0 / tl.load(temperature_ptr + token, mask=weighted, other=1.0)
        x = tl.load(
            logits_ptr + token.to(tl.int64)[:, None] * V + column[None, :],
            mask=weighted[:, None] & inside[None, :],
            other=-float("inf"),
        )
        e = tl.exp((x + bias) * scale[:, None] - maximum[:, None])
        hit = (target[:, None] == column[None, :]).to(tl.float32)
        total += tl.sum(weight[:, None] * hit - (weight / Z)[:, None] * e, 0)
    out_ptr = residuals_ptr + row * V + column
    tl.store(out_ptr, tl.load(out_ptr, mask=inside, other=0.0) + total, mask=inside)
