"""Softmax statistics of a chunk of logits and the pooling of its residuals, in plain PyTorch.

Shape suffixes: t tokens of a chunk, b tokens of a block, V vocabulary, R rows of pooled residuals.
"""

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**21  # logits worked on at a time: 8 MB of them and 8 MB of exponentials stay in a CPU's cache
Pool = tuple[Tensor, Tensor, Tensor]  # pooled residuals [R, V], the row of each token [t], its weight [t]


def softmax_and_pool(
    logits_tV: Tensor, token_ids_t: Tensor, temperature_t: Tensor, bias_V: Tensor | None, pool: Pool | None
) -> tuple[Tensor, Tensor]:
    """Log-probability of the given tokens and entropy of p = softmax((logits + bias) / temperature), both [t].

    Overwrites the logits. With `pool` it also adds weight_t (1[y_t = v] − p_t(v)) to row `row_t` of the pooled
    residuals; rows must not decrease and grow by at most one from token to token.
    """
    t, V = logits_tV.shape
    rows = max(1, BLOCK_ELEMENTS // V)
    exponentials = torch.empty(min(rows, t), V, dtype=torch.float32, device=logits_tV.device)
    log_probs_t, entropy_t = torch.empty_like(temperature_t), torch.empty_like(temperature_t)
    for start in range(0, t, rows):
        block = slice(start, min(start + rows, t))
        x_bV, ids_b = logits_tV[block], token_ids_t[block].long()
        if bias_V is not None:
            x_bV += bias_V
        x_bV /= temperature_t[block, None]
        x_bV -= x_bV.amax(-1, keepdim=True)
        x_target_b = x_bV.gather(1, ids_b[:, None])[:, 0]
        # exp(-128) is 0 in float32, and 0 · (-128) is 0 where 0 · (-inf) would be NaN.
        x_bV.clamp_(min=-128)
        exp_bV = torch.exp(x_bV, out=exponentials[: len(ids_b)])
        Z_b = exp_bV.sum(-1)
        log_probs_t[block] = x_target_b - Z_b.log()
        entropy_t[block] = Z_b.log() - torch.linalg.vecdot(exp_bV, x_bV) / Z_b
        if pool is not None:
            pooled_RV, row_t, weight_t = pool
            _pool_block(pooled_RV, row_t[block], weight_t[block], exp_bV, Z_b, ids_b)
    return log_probs_t, entropy_t


def _pool_block(
    pooled_RV: Tensor, row_b: Tensor, weight_b: Tensor, exp_bV: Tensor, Z_b: Tensor, token_ids_b: Tensor
) -> None:
    scale_b = weight_b / Z_b
    bad_b = ~Z_b.isfinite()
    if bool(bad_b.any()):
        # In the product below a NaN row would reach every sequence of the block: keep it to its own.
        exp_bV.masked_fill_(bad_b[:, None], 0.0)
        scale_b = scale_b.masked_fill(bad_b, 0.0)
        weight_b = weight_b.masked_fill(bad_b & (weight_b != 0), torch.nan)
    first = int(row_b[0])
    membership = torch.zeros(int(row_b[-1]) - first + 1, len(row_b), dtype=torch.float32, device=row_b.device)
    membership[row_b - first, torch.arange(len(row_b), device=row_b.device)] = scale_b
    pooled_RV[first : first + len(membership)].addmm_(membership, exp_bV, alpha=-1)
    pooled_RV.index_put_((row_b, token_ids_b), weight_b, accumulate=True)
