"""The two products with the LM head's weight, in float32 whatever the weight's type.

A bfloat16 logit of 100 may be wrong by 0.25, so no product is rounded below float32. CUDA multiplies bfloat16 and
float16 inputs into float32 outputs; a CPU has no such product, so the weight is converted a block at a time.
Float32 weights assume PyTorch's default matrix precision ("highest"): TensorFloat-32 would cost three digits.

Shape suffixes: t tokens of a chunk, b some of them, H hidden size, V vocabulary, v a block of it, R sequences.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

VOCABULARY_BLOCK = 8192  # rows of the weight that are converted at a time
LARGE_LOGIT = 50.0  # a float32 product is off by up to 1e-7 times the logit, and the probability by as much again


def logits_into(out_tV: Tensor, hidden_tH: Tensor, weight_VH: Tensor) -> None:
    """out = hidden @ weight.T, float32."""
    if weight_VH.dtype == torch.float32:
        torch.mm(hidden_tH.float(), weight_VH.t(), out=out_tV)
    elif hidden_tH.is_cuda and hidden_tH.dtype == weight_VH.dtype:
        torch.mm(hidden_tH, weight_VH.t(), out_dtype=torch.float32, out=out_tV)
    else:
        hidden_tH = hidden_tH.float()
        for block, weight_vH in _converted_blocks(weight_VH, torch.float32):
            out_tV[:, block] = hidden_tH @ weight_vH.t()


def repeat_large_logits(logits_tV: Tensor, hidden_tH: Tensor, weight_VH: Tensor, temperature_t: Tensor) -> None:
    """Write the logits of confident tokens again from float64, less their largest (which no softmax can see).

    At a logit of 100 two close candidates would be off by 1e-5 of a probability after a float32 product. Logits count
    after the division by the temperature; ordinary ones stay far below the limit, so this is rarely more than a look.
    """
    maximum_t = logits_tV.amax(-1)
    large_b = ((maximum_t / temperature_t).abs() > LARGE_LOGIT).nonzero()[:, 0]
    if len(large_b) == 0:
        return
    shift_b = maximum_t[large_b].double()
    hidden_bH = hidden_tH[large_b].double()
    for block, weight_vH in _converted_blocks(weight_VH, torch.float64):
        logits_tV[large_b, block] = (hidden_bH @ weight_vH.t() - shift_b[:, None]).float()


def pooled_times_weight(pooled_RV: Tensor, weight_VH: Tensor) -> Tensor:
    """pooled @ weight for float32 pooled residuals, [R, H] float32."""
    if weight_VH.dtype == torch.float32:
        return pooled_RV @ weight_VH
    if weight_VH.is_cuda and weight_VH.dtype == torch.bfloat16:
        return _sum_over_parts(pooled_RV, lambda parts: torch.mm(parts, weight_VH, out_dtype=torch.float32))
    out_RH = torch.zeros(len(pooled_RV), weight_VH.shape[1], dtype=torch.float32, device=pooled_RV.device)
    for block, weight_vH in _converted_blocks(weight_VH, torch.float32):
        out_RH.addmm_(pooled_RV[:, block], weight_vH)
    return out_RH


def _sum_over_parts(pooled_RV: Tensor, product: Callable[[Tensor], Tensor]) -> Tensor:
    """The product of all three parts at once, which reads the weight once."""
    return product(torch.cat(bfloat16_parts(pooled_RV))).view(3, len(pooled_RV), -1).sum(0)


def bfloat16_parts(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Three bfloat16 tensors of 8 significant bits each that add up to `x`, so that it can meet a bfloat16 weight."""
    high = x.bfloat16()
    rest = x - high
    middle = rest.bfloat16()
    return high, middle, (rest - middle).bfloat16()


def _converted_blocks(weight_VH: Tensor, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    V, H = weight_VH.shape
    buffer = torch.empty(min(V, VOCABULARY_BLOCK), H, dtype=dtype, device=weight_VH.device)
    for start in range(0, V, VOCABULARY_BLOCK):
        block = slice(start, min(start + VOCABULARY_BLOCK, V))
        yield block, buffer[: block.stop - start].copy_(weight_VH[block])
