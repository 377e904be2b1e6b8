"""Other ways through the pass, one of which a GPU's minutes may choose: `python benchmarks/token_pass.py --variants`.

The arithmetic (docs/performance.md) predicts that reading the logits once more costs 12 %. What could hide it:
larger or smaller chunks; softmax and pooling of one chunk on a second stream, beside the product of the next; more
programs for the pooling, by smaller tiles or by cutting every sequence of a chunk into parts with a row for each.
Exponentials kept in bfloat16 are no variant: writing and reading them moves as many bytes as reading float32 logits.
What loses is deleted once a GPU has spoken.

Shape suffixes: T tokens, t tokens of a chunk, H hidden size, V vocabulary, S sequences, P parts of a sequence.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from g2rl.ops.matmul import logits_into, pooled_times_weight
from g2rl.ops.token_pass import _softmax_and_pool_for


@torch.no_grad()
def walk(
    hidden_TH: Tensor,
    weight_VH: Tensor,
    token_ids_T: Tensor,
    sequence_ids_T: Tensor,
    num_sequences: int,
    *,
    chunk_size: int = 1024,
    parts: int = 1,
    second_stream: bool = False,
    softmax_and_pool: Callable[..., tuple[Tensor, Tensor]] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probs [T], entropies [T] and feature sums [S, H], as `token_pass` gives them for one block of sequences."""
    device, T, V = hidden_TH.device, len(hidden_TH), len(weight_VH)
    softmax_and_pool = softmax_and_pool or _softmax_and_pool_for(device)
    is_cuda = device.type == "cuda"
    main = torch.cuda.current_stream() if is_cuda else None
    side = torch.cuda.Stream() if is_cuda and second_stream else None
    buffers = torch.empty(2 if second_stream else 1, min(T, chunk_size), V, device=device)
    done: list[torch.cuda.Event | None] = [None] * len(buffers)
    pooled_RV = torch.zeros(num_sequences * parts, V, device=device)
    log_probs_T, entropy_T = torch.empty(2, T, device=device)
    ones_T, temperature_T = torch.ones(2, T, device=device)
    for number, start in enumerate(range(0, T, chunk_size)):
        chunk = slice(start, min(start + chunk_size, T))
        t, place = chunk.stop - start, number % len(buffers)
        if main and done[place]:
            main.wait_event(done[place])  # the buffer's last reader
        logits_tV = buffers[place, :t]
        logits_into(logits_tV, hidden_TH[chunk], weight_VH)
        row_t = sequence_ids_T[chunk] * parts + torch.arange(t, device=device) * parts // t
        if side:
            side.wait_stream(main)
            row_t.record_stream(side)
        with torch.cuda.stream(side) if side else nullcontext():
            log_probs_T[chunk], entropy_T[chunk] = softmax_and_pool(
                logits_tV, token_ids_T[chunk], temperature_T[chunk], None, ones_T[chunk], row_t, pooled_RV
            )
            if side:
                done[place] = side.record_event()
    if side:
        main.wait_stream(side)
    sums_SV = pooled_RV.view(num_sequences, parts, V).sum(1) if parts > 1 else pooled_RV
    return log_probs_T, entropy_T, pooled_times_weight(sums_SV, weight_VH)


def with_tiles(block_T: int, block_V: int, **arguments) -> object:
    from g2rl.ops import softmax_triton

    before = softmax_triton.POOL_BLOCK_T, softmax_triton.POOL_BLOCK_V
    softmax_triton.POOL_BLOCK_T, softmax_triton.POOL_BLOCK_V = block_T, block_V
    try:
        return walk(**arguments)
    finally:
        softmax_triton.POOL_BLOCK_T, softmax_triton.POOL_BLOCK_V = before


def variants(device: str, **arguments) -> dict[str, Callable[[], object]]:
    """What `token_pass.py --variants` measures beside the pass itself."""
    sizes = (512, 2048, 4096, 8192) if device == "cuda" else (128, 512)
    found: dict[str, Callable[[], object]] = {
        **{f"chunks of {size}": partial(walk, chunk_size=size, **arguments) for size in sizes},
        **{f"sequences in {parts} parts": partial(walk, parts=parts, **arguments) for parts in (2, 4)},
    }
    if device == "cuda":
        for size in (512, 1024, 2048):
            found[f"second stream, chunks of {size}"] = partial(walk, chunk_size=size, second_stream=True, **arguments)
        for tiles in ((4, 1024), (16, 256), (32, 128), (8, 256)):
            found[f"pooling tiles of {tiles[0]} x {tiles[1]}"] = partial(with_tiles, *tiles, **arguments)
    return found
