"""EVOL-RL's novelty reward (arXiv 2509.15194) with verified labels: novelty as an external sentence embedding sees it.

The whole method also widens the upper clip range and adds an entropy term: both are verl's settings.
Shape suffixes: N responses, D components of an embedding, G groups of one size, M members of such a group.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from g2rl.geometry import group_cosines, require_directions
from g2rl.groups import group_min_max
from g2rl.methods.base import Metrics, RewardMethod, Samples

SMALLEST_RANGE = 1e-8  # novelties of a class that lie closer together than this are equal


@torch.no_grad()
def evol_rewards(embeddings: Tensor, correct: Tensor, valid: Tensor, group_ids: Tensor) -> Tensor:
    """Rewards: correct in [0.5, 1], wrong in [−1, −0.5], the more novel the higher; −1 without a valid final answer.

    Among the valid responses to a prompt, with cosines clipped to [0, 1]: s_i = mean cosine to the others of the same
    class (correct or wrong), m_i = largest cosine to any other; u_i = 1 − (s_i + m_i) / 2, and u_bar its min–max in
    the class. The reward is 0.5 + 0.5 u_bar where correct and −1 + 0.5 u_bar where wrong.
    Invalid responses are nobody's peer. Equal novelty within a class gives u_bar = 0.5, a class of one u_bar = 1. A
    prompt with at most one valid response gives −1 to all, also to a correct one: nothing can be compared.

    Args:
        embeddings: [N, D] sentence embeddings of any length, floating point.
        correct: [N] bool.
        valid: [N] bool, the response has a final answer.
        group_ids: [N] int64, which prompt; rows in any order, groups of any size.

    Returns:
        [N] float32.

    Raises:
        ValueError: an embedding that is zero or not finite.
    """
    require_directions(embeddings)
    rewards_N = torch.full((len(embeddings),), -1.0, dtype=torch.float64, device=embeddings.device)
    valid_rows = valid.nonzero().flatten()
    novelty_N = torch.zeros_like(rewards_N)
    compared_N = torch.zeros_like(valid)
    for members_GM, cosines_GMM in group_cosines(embeddings[valid_rows], group_ids[valid_rows]):
        rows_GM = valid_rows[members_GM]
        itself_MM = torch.eye(rows_GM.shape[1], dtype=torch.bool, device=rows_GM.device)
        cosines_GMM = cosines_GMM.clamp(0, 1).masked_fill(itself_MM, 0)
        classmate_GMM = (correct[rows_GM][:, :, None] == correct[rows_GM][:, None, :]) & ~itself_MM
        mean_GM = (cosines_GMM * classmate_GMM).sum(-1) / classmate_GMM.sum(-1).clamp(min=1)
        novelty_N[rows_GM] = 1 - (mean_GM + cosines_GMM.amax(-1)) / 2
        compared_N[rows_GM] = True

    rows = compared_N.nonzero().flatten()
    class_ids = 2 * group_ids[rows] + correct[rows]
    low, high = group_min_max(novelty_N[rows], class_ids)
    _, classes, sizes = class_ids.unique(return_inverse=True, return_counts=True)
    alike = high - low < SMALLEST_RANGE
    normalised = (novelty_N[rows] - low) / (high - low).masked_fill(alike, 1)
    normalised[alike] = 0.5
    normalised[sizes[classes] == 1] = 1.0
    rewards_N[rows] = torch.where(correct[rows], 0.5, -1.0) + 0.5 * normalised
    return rewards_N.float()


@dataclass(frozen=True)
class EVOL(RewardMethod):
    """Replaces the base rewards by `evol_rewards`."""

    needs: ClassVar[frozenset[str]] = frozenset({"embeddings"})

    def shape_rewards(self, samples: Samples) -> tuple[Tensor, Metrics]:
        return evol_rewards(samples["embeddings"], samples.correct, samples.valid, samples.group_ids), {}
