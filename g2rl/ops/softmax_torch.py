"""Softmax statistics of a chunk of logits and the pooling of its residuals, in plain PyTorch.

Shape suffixes: t tokens of a chunk, b some of them, V vocabulary, R sequences.
"""

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**21  # logits worked on at a time: 8 MB of them and 8 MB of exponentials stay in a CPU's cache


def softmax_and_pool(
    logits_tV: Tensor,
    token_ids_t: Tensor,
    temperature_t: Tensor,
    bias_V: Tensor | None,
    weight_t: Tensor,
    row_t: Tensor,
    residuals_RV: Tensor,
) -> tuple[Tensor, Tensor]:
    """Log-probability of the given tokens and entropy of p = softmax((logits + bias) / temperature), both [t].

    Adds a_t (1[y_t = v] − p_t(v)), a the weights, to row `row_t` (never decreasing) of the residuals, unless they have
    no rows. Overwrites the logits.
    """
    t, V = logits_tV.shape
    rows = max(1, BLOCK_ELEMENTS // V)
    exp_buffer = torch.empty(min(rows, t), V, dtype=torch.float32, device=logits_tV.device)
    log_probs_t, entropy_t = torch.empty_like(temperature_t), torch.empty_like(temperature_t)
    for start in range(0, t, rows):
        block = slice(start, min(start + rows, t))
        x_bV, token_ids_b = logits_tV[block], token_ids_t[block]
        if bias_V is not None:
            x_bV += bias_V
        x_bV /= temperature_t[block, None]
        x_bV -= x_bV.amax(-1, keepdim=True)
        x_target_b = x_bV.gather(1, token_ids_b[:, None])[:, 0]
        exp_bV = torch.exp(x_bV, out=exp_buffer[: len(x_bV)])
        Z_b = exp_bV.sum(-1)
        log_Z_b = Z_b.log()
        log_probs_t[block] = x_target_b - log_Z_b
        entropy_t[block] = log_Z_b - x_bV.mul_(exp_bV).sum(-1) / Z_b
        if len(residuals_RV):
            _add_residuals(residuals_RV, row_t[block], weight_t[block], token_ids_b, exp_bV, Z_b)
    return log_probs_t, entropy_t


def _add_residuals(
    residuals_RV: Tensor, row_b: Tensor, weight_b: Tensor, token_ids_b: Tensor, exp_bV: Tensor, Z_b: Tensor
) -> None:
    """One small product adds the probabilities: the weights over Z, a row for each sequence, times the exponentials."""
    scale_b = weight_b / Z_b
    bad_b = ~Z_b.isfinite()
    if bool(bad_b.any()):
        # In the product a NaN row would reach every sequence of the block: keep it to its own.
        exp_bV.masked_fill_(bad_b[:, None], 0.0)
        scale_b = scale_b.masked_fill(bad_b, 0.0)
        weight_b = weight_b.masked_fill(bad_b & (weight_b != 0), torch.nan)
    first, last = int(row_b[0]), int(row_b[-1])
    scale_Rb = torch.zeros(last - first + 1, len(row_b), dtype=torch.float32, device=row_b.device)
    scale_Rb.scatter_(0, (row_b - first)[None], scale_b[None])
    residuals_RV[first : last + 1].addmm_(scale_Rb, exp_bV, alpha=-1)
    residuals_RV.index_put_((row_b, token_ids_b), weight_b, accumulate=True)
