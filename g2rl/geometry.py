"""Cosines between the vectors (gradient features or sentence embeddings) of the responses to one prompt.

Shape suffixes: N responses, H components of a vector, G groups of one size, M members of such a group, P pairs.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from g2rl.groups import groups_by_size

SMALLEST_NORM = 1e-8  # a shorter vector is rounding noise and has no direction
BLOCK_ROWS = 128  # rows of a block of groups: small enough for the processor's cache in float64


def has_direction(features_NH: Tensor) -> Tensor:
    """[N] bool: the vector is finite (its float32 norm too) and longer than 1e-8."""
    norm_N = torch.linalg.vector_norm(features_NH, dim=-1, dtype=_at_least_float32(features_NH))
    return norm_N.isfinite() & (norm_N > SMALLEST_NORM)


def require_directions(embeddings_ND: Tensor) -> None:
    """
    Raises:
        ValueError: a sentence embedding without a direction; what it is compared with would be arbitrary.
    """
    broken = (~has_direction(embeddings_ND)).nonzero().flatten().tolist()
    if broken:
        raise ValueError(
            f"The embedding model returned zero or non-finite vectors for {len(broken)} of {len(embeddings_ND)} "
            f"responses (first: row {broken[0]}); the methods that compare embeddings need them."
        )


def group_cosines(features_NH: Tensor, group_ids_N: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields (rows [G, M] int64, cosines [G, M, M] float64) for blocks of groups of one size, until none is left.

    Vectors without a direction are left out, and so is a group in which fewer than two others remain.
    The cosines are float64 because the exploration score uses 1 − cos²: in float32 identical vectors would score up
    to 1e-3 by rounding alone, far above the 1e-6 below which scores count as equal.
    """
    usable = has_direction(features_NH).nonzero().squeeze(-1)
    for members_GM in groups_by_size(group_ids_N[usable]):
        size = members_GM.shape[1]
        if size == 1:
            continue
        for rows_GM in usable[members_GM].split(max(1, BLOCK_ROWS // size)):
            vectors_GMH = features_NH[rows_GM].double()
            products_GMM = vectors_GMH @ vectors_GMH.transpose(1, 2)
            norms_GM = products_GMM.diagonal(dim1=1, dim2=2).sqrt()
            yield rows_GM, products_GMM / (norms_GM[:, :, None] * norms_GM[:, None, :])


@torch.no_grad()
def pairwise_cosines(features: Tensor, group_ids: Tensor) -> Tensor:
    """Cosine of every pair of responses to the same prompt (arXiv 2512.15687, §3.5).

    Args:
        features: [N, H], floating point.
        group_ids: [N] int64, which prompt; rows in any order, groups of any size.

    Returns:
        [P] float32 (float64 for float64 features): groups by ascending id, in each the pairs (0, 1), (0, 2), …,
        (1, 2), … of its rows in order. A zero or non-finite vector makes no pair. Empty where there is no pair.
    """
    cosines, ids = [features.new_empty(0, dtype=torch.float64)], [group_ids.new_empty(0)]
    for rows_GM, cosines_GMM in group_cosines(features, group_ids):
        size = rows_GM.shape[1]
        first, second = torch.triu_indices(size, size, offset=1, device=rows_GM.device)
        cosines.append(cosines_GMM[:, first, second].flatten())
        ids.append(group_ids[rows_GM[:, first]].flatten())
    order_P = torch.cat(ids).argsort(stable=True)
    return torch.cat(cosines)[order_P].to(_at_least_float32(features))


def negative_share(cosines: Tensor) -> float:
    """Share of pairs with a cosine below 0; `cosines` is [P]. 0.0 where there is no pair."""
    return (cosines < 0).double().mean().item() if cosines.numel() else 0.0


def geometry_metrics(features: Tensor, group_ids: Tensor) -> dict[str, float]:
    """What one training step logs about features [N, H]; the mean and the share are 0.0 where there is no pair."""
    cosines_P = pairwise_cosines(features, group_ids)
    return {
        "exploration/cosine_mean": cosines_P.double().mean().item() if cosines_P.numel() else 0.0,
        "exploration/negative_pair_share": negative_share(cosines_P),
        "exploration/invalid_features": float((~has_direction(features)).sum()),
    }


def _at_least_float32(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
