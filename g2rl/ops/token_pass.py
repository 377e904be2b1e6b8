"""Log-probabilities, entropies and sequence features in one walk over the tokens.

The feature of a sequence is a sum over its tokens,

    feature = Σ_t a_t (W[y_t] − Σ_v p_t(v) W[v]) = Σ_v W[v] · (Σ_t a_t (1[y_t = v] − p_t(v))),

so the residuals a_t (1[y_t = v] − p_t(v)) are pooled over a sequence's tokens first and meet `W` once per sequence
instead of once per token. The probabilities are at hand anyway for the log-probability and the entropy.

The walk takes a block of sequences at a time, and within it a chunk of tokens. Memory: the logits of one chunk [t, V],
the exponentials of a few of its rows, and the pooled residuals of one block [R, V], which bfloat16 weights on CUDA
split into three parts, up to 14 bytes more for each. Nothing of tokens × vocabulary or sequences × vocabulary.

Shape suffixes: T tokens, t tokens of a chunk, H hidden size, V vocabulary, S sequences, R sequences of a block.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from g2rl.ops import softmax_torch
from g2rl.ops.matmul import logits_into, pooled_times_weight, repeat_large_logits

FLOAT_TYPES = (torch.float32, torch.bfloat16, torch.float16)
CHUNK_SIZE = {"cpu": 256, "cuda": 1024}
SEQUENCE_BLOCK = 64  # of responses of 100 tokens, more than a chunk


class TokenSums(NamedTuple):
    log_probs: Tensor  # [T] float32
    entropy: Tensor  # [T] float32
    feature_sums: Tensor | None  # [S, H] float32: Σ_t a_t phi_t
    weight_sums: Tensor | None  # [S] float32: Σ_t a_t


@torch.no_grad()
def token_pass(
    hidden: Tensor,
    lm_head_weight: Tensor,
    token_ids: Tensor,
    sequence_ids: Tensor | None = None,
    num_sequences: int = 0,
    *,
    token_weights: Tensor | None = None,
    bias: Tensor | None = None,
    temperature: float | Tensor = 1.0,
    chunk_size: int | None = None,
    with_features: bool = True,
) -> TokenSums:
    """Log-probability and entropy of every token, and per sequence the sum of its token features.

    With `p_t = softmax((W h_t + b) / temperature)` and `phi_t = W[y_t] − Σ_v p_t(v) W[v]` (arXiv 2512.15687,
    eq. 5–8): `log_probs[t] = log p_t(y_t)`, `entropy[t] = −Σ_v p_t(v) log p_t(v)` (nats),
    `feature_sums[s] = Σ_t a_t phi_t` and `weight_sums[s] = Σ_t a_t` over the tokens of sequence s. The two sums are
    left undivided so that ranks that hold parts of the same sequences can add them up first.

    Args:
        hidden: [T, H], the inputs of the LM head, each the predictor of the token at the same place in `token_ids`.
        lm_head_weight: [V, H]; float32, bfloat16 or float16, as is `hidden`. Accumulation is in float32.
        token_ids: [T] integer, the predicted tokens, 0 ≤ id < V (also where the weight is 0).
        sequence_ids: [T] integer, one sequence after another in ascending order, as verl packs them, and −1 for the
            padding behind the last one. A slice of packed tokens, as Ulysses gives each rank, begins and ends anywhere.
        num_sequences: S ≥ 1. A sequence without tokens or of weight 0 has zero sums.
        token_weights: [T], a_t ≥ 0, by default 1. A token of weight 0, as in a prompt, adds nothing to the sums and
            still gets its log-probability and entropy.
        bias: [V], added to the logits; finite.
        temperature: positive number, or [T] with one for each token.
        chunk_size: tokens whose logits exist at the same time; by default 256 (CUDA: 1024). The result is
            deterministic for a given chunk size.
        with_features: False leaves the sums out (None), and needs no `sequence_ids`.

    A token whose logits are not finite gets NaN, and so does the sum of its sequence if it has weight; other sequences
    are untouched.

    Raises:
        ValueError: shapes, types, devices or value ranges that do not fit the above.
    """
    _check_head(hidden, lm_head_weight, token_ids, bias)
    (T, H), V, device = hidden.shape, len(lm_head_weight), hidden.device
    temperature_T = _temperatures(temperature, T, device)
    chunk_size = CHUNK_SIZE[device.type] if chunk_size is None else chunk_size
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}.")
    softmax_and_pool = _softmax_and_pool_for(device)
    weight_VH, token_ids = lm_head_weight, token_ids.long().contiguous()
    is_float32 = hidden.dtype == weight_VH.dtype == torch.float32
    if with_features:
        ids_T, weights_T = _check_sequences(sequence_ids, num_sequences, token_weights, T, device)
    else:
        num_sequences = 0
        ids_T, weights_T = torch.zeros_like(token_ids), torch.zeros(T, device=device)

    log_probs_T, entropy_T = torch.empty(2, T, dtype=torch.float32, device=device)
    feature_sums_SH = torch.zeros(num_sequences, H, dtype=torch.float32, device=device)
    residuals_buffer = torch.empty(min(num_sequences, SEQUENCE_BLOCK), V, dtype=torch.float32, device=device)
    logits_buffer = torch.empty(min(T, chunk_size), V, dtype=torch.float32, device=device)
    with torch.autocast(device_type=device.type, enabled=False):
        for sequences, tokens in _blocks(ids_T, num_sequences):
            residuals_RV = residuals_buffer[: sequences.stop - sequences.start].zero_()
            for start in range(tokens.start, tokens.stop, chunk_size):
                chunk = slice(start, min(start + chunk_size, tokens.stop))
                logits_tV = logits_buffer[: chunk.stop - start]
                logits_into(logits_tV, hidden[chunk], weight_VH)
                if is_float32:
                    repeat_large_logits(logits_tV, hidden[chunk], weight_VH, temperature_T[chunk])
                log_probs_T[chunk], entropy_T[chunk] = softmax_and_pool(
                    logits_tV,
                    token_ids[chunk],
                    temperature_T[chunk],
                    bias,
                    weights_T[chunk],
                    ids_T[chunk] - sequences.start,
                    residuals_RV,
                )
            feature_sums_SH[sequences] = pooled_times_weight(residuals_RV, weight_VH)
    if not with_features:
        return TokenSums(log_probs_T, entropy_T, None, None)
    weight_sums_S = torch.zeros(num_sequences, dtype=torch.float64, device=device)
    weight_sums_S.index_add_(0, ids_T, weights_T.double())
    return TokenSums(log_probs_T, entropy_T, feature_sums_SH, weight_sums_S.float())


def _blocks(ids_T: Tensor, num_sequences: int) -> Iterator[tuple[slice, slice]]:
    """Sequences of a block and their tokens; all tokens in one block without sequences where there are none."""
    firsts = list(range(0, num_sequences, SEQUENCE_BLOCK)) or [0]
    starts = torch.searchsorted(ids_T, torch.tensor(firsts, device=ids_T.device)).tolist()
    for first, start, stop in zip(firsts, starts, [*starts[1:], len(ids_T)], strict=True):
        yield slice(first, min(first + SEQUENCE_BLOCK, num_sequences)), slice(start, stop)


def _softmax_and_pool_for(device: torch.device) -> Callable[..., tuple[Tensor, Tensor]]:
    if device.type == "cuda":
        from g2rl.ops import softmax_triton  # a machine without a GPU may lack Triton

        return softmax_triton.softmax_and_pool
    return softmax_torch.softmax_and_pool


def _check_head(hidden: Tensor, weight: Tensor, token_ids: Tensor, bias: Tensor | None) -> None:
    if hidden.ndim != 2 or weight.ndim != 2 or hidden.shape[1] != weight.shape[1]:
        raise ValueError(
            "hidden must be [tokens, H] and lm_head_weight [vocabulary, H] with the same H, "
            f"got {list(hidden.shape)} and {list(weight.shape)}."
        )
    if hidden.dtype not in FLOAT_TYPES or weight.dtype not in FLOAT_TYPES:
        raise ValueError(
            f"hidden and lm_head_weight must be float32, bfloat16 or float16, got {hidden.dtype} and {weight.dtype}."
        )
    T, V = len(hidden), len(weight)
    if V == 0:
        raise ValueError("lm_head_weight has no rows; pass the whole weight, not an empty shard.")
    _check_vector("token_ids", token_ids, T, hidden.device, integer=True)
    _check_range("token_ids", token_ids, 0, V)
    if bias is not None:
        _check_vector("bias", bias, V, hidden.device)


def _check_vector(name: str, tensor: Tensor, length: int, device: torch.device, integer: bool = False) -> None:
    if tensor.shape != (length,):
        raise ValueError(f"{name} must have shape [{length}], got {list(tensor.shape)}.")
    if tensor.device != device:
        raise ValueError(f"{name} is on {tensor.device} but hidden on {device}; move it there.")
    if integer and (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool):
        raise ValueError(f"{name} must hold integers, got {tensor.dtype}.")


def _check_range(name: str, ids: Tensor, lowest: int, stop: int) -> None:
    if len(ids) and not (int(ids.min()) >= lowest and int(ids.max()) < stop):
        raise ValueError(
            f"{name} must lie in [{lowest}, {stop}), got values from {int(ids.min())} to {int(ids.max())}."
        )


def _temperatures(temperature: float | Tensor, T: int, device: torch.device) -> Tensor:
    if isinstance(temperature, Tensor) and temperature.ndim:
        _check_vector("temperature", temperature, T, device)
        temperature_T = temperature.float().contiguous()
    else:
        temperature_T = torch.full((T,), float(temperature), dtype=torch.float32, device=device)
    if not bool(((temperature_T > 0) & temperature_T.isfinite()).all()):
        raise ValueError("temperature must be positive and finite, as a number or as one for each token.")
    return temperature_T


def _check_sequences(
    sequence_ids: Tensor | None, num_sequences: int, token_weights: Tensor | None, T: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Sequence ids as int64 and weights as float32; padding goes with the last sequence, without weight."""
    if sequence_ids is None:
        raise ValueError("features need sequence_ids; pass them or set with_features=False.")
    _check_vector("sequence_ids", sequence_ids, T, device, integer=True)
    if num_sequences < 1:
        raise ValueError(f"features need num_sequences of at least 1, got {num_sequences}.")
    _check_range("sequence_ids", sequence_ids, -1, num_sequences)
    if token_weights is None:
        token_weights = torch.ones(T, dtype=torch.float32, device=device)
    _check_vector("token_weights", token_weights, T, device)
    if not bool(((token_weights >= 0) & token_weights.isfinite()).all()):
        raise ValueError("token_weights must be finite and not negative.")
    is_padding_T = sequence_ids < 0
    ids_T = torch.where(is_padding_T, num_sequences - 1, sequence_ids).long()
    if bool((ids_T.diff() < 0).any()):
        raise ValueError("sequence_ids must be in ascending order, with −1 (padding) behind them; sort the tokens.")
    return ids_T, token_weights.float().masked_fill(is_padding_T, 0.0)
