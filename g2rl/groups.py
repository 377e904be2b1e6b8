"""The responses to one prompt form a group; rows come in any order and groups may differ in size.

Shape suffixes: N rows of the batch, G groups of one size, M members of such a group.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def groups_by_size(group_ids_N: Tensor) -> Iterator[Tensor]:
    """Yields row numbers [G, M] int64 for each group size M that occurs: one group a row, its members in row order.

    Batches of equal groups need neither padding nor masks, and a batch has few sizes, usually one.
    """
    order_N = group_ids_N.argsort(stable=True)
    sizes = group_ids_N[order_N].unique_consecutive(return_counts=True)[1]
    starts = sizes.cumsum(0) - sizes
    for size in sizes.unique().tolist():
        yield order_N[starts[sizes == size, None] + torch.arange(size, device=order_N.device)]


def group_min_max(values_N: Tensor, group_ids_N: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest and the largest value of each row's group, both [N]."""
    ids, group_N = group_ids_N.unique(return_inverse=True)
    low = values_N.new_empty(len(ids)).scatter_reduce(0, group_N, values_N, "amin", include_self=False)
    high = values_N.new_empty(len(ids)).scatter_reduce(0, group_N, values_N, "amax", include_self=False)
    return low[group_N], high[group_N]


def in_uniform_group(rewards_N: Tensor, group_ids_N: Tensor) -> Tensor:
    """[N] bool: all rewards of this row's group are equal, so plain GRPO learns nothing from it."""
    low_N, high_N = group_min_max(rewards_N, group_ids_N)
    return low_N == high_N


def group_sum(values_N: Tensor, group_ids_N: Tensor) -> Tensor:
    """The sum of each row's group [N]."""
    ids, group_N = group_ids_N.unique(return_inverse=True)
    return values_N.new_zeros(len(ids)).index_add(0, group_N, values_N)[group_N]


def shuffle_in_groups(values_N: Tensor, group_ids_N: Tensor, generator: np.random.Generator) -> Tensor:
    """The values [N], each group's dealt out anew among its members."""
    order_N = torch.from_numpy(generator.permutation(len(values_N))).to(values_N.device)
    shuffled_N = torch.empty_like(values_N)
    shuffled_N[group_ids_N.argsort(stable=True)] = values_N[order_N[group_ids_N[order_N].argsort(stable=True)]]
    return shuffled_N
