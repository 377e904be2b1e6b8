"""The exploration score of G2RL: how little of a response's gradient direction the other responses explain.

Shape suffixes: N responses, H components of a feature, G groups of one size, M members of such a group.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from g2rl.geometry import group_cosines

# What a cosine counts for.
SIMILARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "squared": torch.square,
    "positive": lambda cosines: cosines.clamp(min=0),
    "signed": lambda cosines: cosines,
}


@torch.no_grad()
def exploration_scores(
    features: Tensor,
    rewards: Tensor,
    group_ids: Tensor,
    *,
    square_root: bool = True,
    similarity: str = "squared",
) -> Tensor:
    """Exploration score of every response, eq. 9–11 of G2RL (arXiv 2512.15687).

        S_ij = cosine of features i and j        w_ij = exp(r_j) / Σ_{k≠i} exp(r_k)
        score_i = sqrt(max(1 − Σ_{j≠i} w_ij S_ij², 0))

    Peers are the other responses of the group; a correct one weighs e² times a wrong one.
    A feature that is zero (norm at most 1e-8) or not finite has no direction: its response scores 0 and is left out of
    the peers of the others, whose weights are normalised over the rest. A response without peers, as in a group of
    one, scores 0.

    Args:
        features: [N, H], floating point; bfloat16 and float32 are accumulated in float64.
        rewards: [N] base rewards, +1 or −1.
        group_ids: [N] int64, which prompt; rows in any order, groups of any size.
        square_root: False gives the plain form 1 − Σ w S². The paper's text may be read either way.
        similarity: what stands in the place of S²: "squared" is the paper's, to which opposed directions are alike;
            "positive" max(S, 0); "signed" S, with which opposed directions score highest.

    Returns:
        [N] in [0, 1], with "signed" in [0, 2] before the root; float32 (float64 for float64 features), never NaN,
        without gradient.

    Raises:
        ValueError: an unknown similarity.
    """
    check_similarity(similarity)
    scores_N = torch.zeros(len(features), dtype=torch.float64, device=features.device)
    for rows_GM, cosines_GMM in group_cosines(features, group_ids):
        diagonal_MM = torch.eye(rows_GM.shape[1], dtype=torch.bool, device=rows_GM.device)
        exp_rewards_GM = rewards[rows_GM].double().exp()
        weights_GMM = exp_rewards_GM[:, None, :].masked_fill(diagonal_MM, 0)
        weights_GMM = weights_GMM / weights_GMM.sum(-1, keepdim=True)
        explained_GM = (weights_GMM * SIMILARITIES[similarity](cosines_GMM)).sum(-1)
        scores_N[rows_GM] = (1 - explained_GM).clamp(min=0)
    if square_root:
        scores_N = scores_N.sqrt()
    return scores_N.to(torch.promote_types(features.dtype, torch.float32))


def check_similarity(similarity: str, prefix: str = "") -> None:
    """Raises ValueError for an unknown name; `prefix` stands before the setting's in the message."""
    if similarity not in SIMILARITIES:
        raise ValueError(f"{prefix}similarity must be one of {', '.join(SIMILARITIES)}, not {similarity!r}.")
