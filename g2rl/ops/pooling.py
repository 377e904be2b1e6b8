"""Residuals pooled over each sequence's tokens, in bounded memory.

A chunk adds its residuals to rows of one buffer, a row for each sequence. Before a chunk that reaches beyond the
sequences which the buffer holds, the buffer goes through `W` and starts again. Every step is linear, so a sequence may
be cut anywhere: 10,000 short sequences need no more rows than a chunk has tokens.

Shape suffixes: T tokens, t tokens of a chunk, H hidden size, V vocabulary, S sequences, R rows of the buffer.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from g2rl.ops.matmul import pooled_times_weight


class ChunkPool(NamedTuple):
    """Where a chunk's tokens add their residuals."""

    residuals_RV: Tensor  # one row for each sequence that the chunk touches, float32
    row_t: Tensor  # the row of each token: 0 at first, then never down and up by at most one
    weight_t: Tensor  # a_t, float32


class SequencePool:
    """The pools of all chunks, for tokens in the order of their sequences.

    Args:
        sequence_ids_T: never decreasing.
        weights_T: a_t, float32.
        chunk_size: rows of the buffer, unless there are fewer sequences.
    """

    def __init__(self, sequence_ids_T: Tensor, weights_T: Tensor, weight_VH: Tensor, chunk_size: int) -> None:
        # Numbered without gaps, a chunk of t tokens touches at most t sequences that follow one another.
        self.present_S, self.rank_T = torch.unique_consecutive(sequence_ids_T, return_inverse=True)
        self.ranks = self.rank_T.tolist()
        self.weights_T, self.weight_VH = weights_T, weight_VH
        V, H = weight_VH.shape
        rows = min(len(self.present_S), chunk_size)
        self.residuals_RV = torch.zeros(rows, V, dtype=torch.float32, device=weight_VH.device)
        self.sums_SH = torch.zeros(len(self.present_S), H, dtype=torch.float32, device=weight_VH.device)
        self.first_held = 0  # the sequence of the buffer's first row

    def for_chunk(self, start: int, stop: int) -> ChunkPool:
        """The pool of tokens `start` to `stop`; chunks must come one after another."""
        first, last = self.ranks[start], self.ranks[stop - 1]
        if last - self.first_held >= len(self.residuals_RV):
            self._add_to_sums(self.ranks[start - 1])
            self.residuals_RV.zero_()
            self.first_held = first
        residuals_RV = self.residuals_RV[first - self.first_held : last - self.first_held + 1]
        return ChunkPool(residuals_RV, self.rank_T[start:stop] - first, self.weights_T[start:stop])

    def feature_sums(self, num_sequences: int) -> Tensor:
        """Σ_t a_t phi_t of every sequence, [S, H], after the last chunk."""
        if self.ranks:
            self._add_to_sums(self.ranks[-1])
        out_SH = self.sums_SH.new_zeros(num_sequences, self.sums_SH.shape[1])
        out_SH[self.present_S] = self.sums_SH
        return out_SH

    def _add_to_sums(self, last_held: int) -> None:
        rows = slice(self.first_held, last_held + 1)
        held_RV = self.residuals_RV[: rows.stop - rows.start]
        self.sums_SH[rows] += pooled_times_weight(held_RV, self.weight_VH)
