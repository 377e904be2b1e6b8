"""The two products with the LM head's weight, float32 results whatever the weight's type.

bfloat16 logits would be wrong by 0.25 at a logit of 100, so the products never round below float32.

Shape suffixes: t tokens, H hidden size, V vocabulary, v rows of a block of the vocabulary, R sequences.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

VOCABULARY_BLOCK = 8192  # rows of the weight that exist in float32 at the same time


def logits_into(out_tV: Tensor, hidden_tH: Tensor, weight_VH: Tensor) -> None:
    """out = hidden @ weight.T in float32."""
    hidden_tH = hidden_tH.float()
    if weight_VH.dtype == torch.float32:
        torch.mm(hidden_tH, weight_VH.t(), out=out_tV)
        return
    for block, weight_vH in _float32_blocks(weight_VH):
        out_tV[:, block] = hidden_tH @ weight_vH.t()


def pooled_times_weight(pooled_RV: Tensor, weight_VH: Tensor) -> Tensor:
    """pooled @ weight in float32, [R, H]."""
    if weight_VH.dtype == torch.float32:
        return pooled_RV @ weight_VH
    out_RH = torch.zeros(len(pooled_RV), weight_VH.shape[1], dtype=torch.float32, device=pooled_RV.device)
    for block, weight_vH in _float32_blocks(weight_VH):
        out_RH.addmm_(pooled_RV[:, block], weight_vH)
    return out_RH


def _float32_blocks(weight_VH: Tensor) -> Iterator[tuple[slice, Tensor]]:
    V, H = weight_VH.shape
    buffer = torch.empty(min(V, VOCABULARY_BLOCK), H, dtype=torch.float32, device=weight_VH.device)
    for start in range(0, V, VOCABULARY_BLOCK):
        block = slice(start, min(start + VOCABULARY_BLOCK, V))
        yield block, buffer[: block.stop - start].copy_(weight_VH[block])
