"""Log-probabilities, entropies and sequence features in one walk over the tokens.

The feature of a sequence is a sum over its tokens,

    Phi = Σ_t a_t (W[y_t] − Σ_v p_t(v) W[v]) = Σ_v W[v] · (Σ_t a_t (1[y_t = v] − p_t(v))),

so the residuals a_t (1[y_t = v] − p_t(v)) are pooled over a sequence's tokens first and meet `W` once per sequence
instead of once per token. The probabilities are at hand anyway for the log-probability and the entropy.

Memory: the logits of one chunk of tokens [t, V], the exponentials of a few of its rows, and pooled residuals of
min(sequences, chunk_size) rows [R, V], which bfloat16 weights on CUDA split into three parts, up to 14 bytes
more for each. Nothing of tokens × vocabulary, and of sequences × vocabulary no more than of a chunk.

Shape suffixes: T tokens, t tokens of a chunk, H hidden size, V vocabulary, S sequences.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from g2rl.ops import softmax_torch
from g2rl.ops.matmul import logits_into, repeat_large_logits
from g2rl.ops.pooling import SequencePool

FLOAT_TYPES = (torch.float32, torch.bfloat16, torch.float16)


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
        sequence_ids: [T] integer, −1 ≤ id < num_sequences. A token with id −1 belongs to no sequence. Any order is
            right; tokens of a sequence that follow one another (packed input) need no copy of `hidden`.
        num_sequences: S. A sequence without tokens or of weight 0 has zero sums.
        token_weights: [T], a_t ≥ 0, by default 1. A token of weight 0 adds nothing to the sums and still gets its
            log-probability and entropy.
        bias: [V], added to the logits; −inf forbids a token.
        temperature: positive number, or [T] with one for each token.
        chunk_size: tokens whose logits exist at the same time; by default 256 (CUDA: 1024). The result is
            deterministic for a given chunk size.
        with_features: False leaves the sums out (None), and needs no `sequence_ids`.

    A token whose logits are not finite (NaN or +inf, or all of them −inf) gets NaN, and so does the sum of its
    sequence if it has weight; other sequences are untouched.

    Raises:
        ValueError: shapes, types, devices or value ranges that do not fit the above.
    """
    _check_head(hidden, lm_head_weight, token_ids, bias)
    T, V = len(hidden), len(lm_head_weight)
    device = hidden.device
    temperature_T = _temperatures(temperature, T, device)
    if chunk_size is None:
        chunk_size = 1024 if device.type == "cuda" else 256
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}.")
    softmax_and_pool = _softmax_and_pool_for(device)
    weight_VH, token_ids = lm_head_weight, token_ids.long().contiguous()
    is_float32 = hidden.dtype == weight_VH.dtype == torch.float32
    log_probs_T = torch.empty(T, dtype=torch.float32, device=device)
    entropy_T = torch.empty(T, dtype=torch.float32, device=device)

    order: Tensor | None = None
    pool: SequencePool | None = None
    if with_features:
        ids_T, weights_T = _check_sequences(sequence_ids, num_sequences, token_weights, T, device)
        weight_sums_S = _sums_over_sequences(weights_T, ids_T, num_sequences)
        # Tokens of no sequence go with the sequence before them, without weight.
        running_T = ids_T.cummax(0).values.clamp(min=0) if T else ids_T
        if bool((running_T != ids_T)[weights_T != 0].any()):
            order = torch.argsort(ids_T, stable=True)
            hidden, token_ids, temperature_T = hidden[order], token_ids[order], temperature_T[order]
            weights_T, running_T = weights_T[order], ids_T[order].clamp(min=0)
        pool = SequencePool(running_T, weights_T, weight_VH, chunk_size)

    logits_buffer = torch.empty(min(T, chunk_size), V, dtype=torch.float32, device=device)
    with torch.autocast(device_type=device.type, enabled=False):
        for start in range(0, T, chunk_size):
            stop = min(start + chunk_size, T)
            chunk = slice(start, stop)
            logits_tV = logits_buffer[: stop - start]
            logits_into(logits_tV, hidden[chunk], weight_VH)
            if is_float32:
                repeat_large_logits(logits_tV, hidden[chunk], weight_VH, bias, temperature_T[chunk])
            chunk_pool = pool.for_chunk(start, stop) if pool else None
            log_probs_T[chunk], entropy_T[chunk] = softmax_and_pool(
                logits_tV, token_ids[chunk], temperature_T[chunk], bias, chunk_pool
            )
        feature_sums_SH = pool.feature_sums(max(num_sequences, 1))[:num_sequences] if pool else None

    if order is not None:
        log_probs_T = torch.empty_like(log_probs_T).index_copy_(0, order, log_probs_T)
        entropy_T = torch.empty_like(entropy_T).index_copy_(0, order, entropy_T)
    return TokenSums(log_probs_T, entropy_T, feature_sums_SH, weight_sums_S if pool else None)


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
    if T and not (int(token_ids.min()) >= 0 and int(token_ids.max()) < V):
        raise ValueError(
            f"token_ids must lie in [0, {V}), got values from {int(token_ids.min())} to {int(token_ids.max())}."
        )
    if bias is not None:
        _check_vector("bias", bias, V, hidden.device)


def _check_vector(name: str, tensor: Tensor, length: int, device: torch.device, integer: bool = False) -> None:
    if tensor.shape != (length,):
        raise ValueError(f"{name} must have shape [{length}], got {list(tensor.shape)}.")
    if tensor.device != device:
        raise ValueError(f"{name} is on {tensor.device} but hidden on {device}; move it there.")
    if integer and (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool):
        raise ValueError(f"{name} must hold integers, got {tensor.dtype}.")


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
    """Sequence ids as int64 and weights as float32, 0 for tokens of no sequence."""
    if sequence_ids is None:
        raise ValueError("features need sequence_ids; pass them or set with_features=False.")
    _check_vector("sequence_ids", sequence_ids, T, device, integer=True)
    if T and not (int(sequence_ids.min()) >= -1 and int(sequence_ids.max()) < num_sequences):
        raise ValueError(
            f"sequence_ids must lie in [-1, num_sequences = {num_sequences}), "
            f"got values from {int(sequence_ids.min())} to {int(sequence_ids.max())}."
        )
    if token_weights is None:
        weights_T = torch.ones(T, dtype=torch.float32, device=device)
    else:
        _check_vector("token_weights", token_weights, T, device)
        weights_T = token_weights.float()
        if not bool(((weights_T >= 0) & weights_T.isfinite()).all()):
            raise ValueError("token_weights must be finite and not negative.")
    ids_T = sequence_ids.long()
    return ids_T, torch.where(ids_T >= 0, weights_T, 0.0)


def _sums_over_sequences(weights_T: Tensor, ids_T: Tensor, num_sequences: int) -> Tensor:
    """Added up in float64, where the order of the additions does not show in the float32 result."""
    sums = torch.zeros(num_sequences + 1, dtype=torch.float64, device=weights_T.device)  # the last: no sequence
    sums.index_add_(0, torch.where(ids_T >= 0, ids_T, num_sequences), weights_T.double())
    return sums[:-1].float()
