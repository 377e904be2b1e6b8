"""MaxRL whose right answers count by how new their gradient is: this project's own. Shape suffix: N responses."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from g2rl.groups import group_min_max, group_sum, shuffle_in_groups
from g2rl.methods.base import Method, Metrics, Samples, check_number
from g2rl.novelty import check_similarity, exploration_scores
from g2rl.shaping import SMALLEST_RANGE


@dataclass(frozen=True)
class WeightedMaxRL(Method):
    """MaxRL whose weight of a correct response grows with its exploration score.

    The advantage of MaxRL (arXiv 2602.02710) is (1 − p)/p for a correct response and −1 for a wrong one. Here that of
    a correct one is multiplied by 1 + scale (2 relative − 1), `relative` being the score min–max-normalised among the
    correct responses of the group, and by what keeps the sum of the group's weights. Groups that are all right or all
    wrong have no advantage, as in MaxRL.

    scale: λ in [0, 1]; 0 is MaxRL.
    placebo: deal out the scores at random among the correct responses of a group.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    replaces_advantages: ClassVar[bool] = True

    scale: float = 1.0
    similarity: str = "squared"
    placebo: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_similarity(self.similarity, prefix="exploration.")
        check_number("scale", self.scale, 0, 1)
        check_number("seed", self.seed, 0, whole=True)

    def reweight_advantages(self, advantages: Tensor, samples: Samples) -> tuple[Tensor, Metrics]:
        correct_N, ids_N = samples.correct, samples.group_ids
        share_N = group_sum(correct_N.double(), ids_N) / group_sum(torch.ones(len(ids_N), dtype=torch.float64), ids_N)
        scores = exploration_scores(samples["features"], samples.rewards, ids_N, similarity=self.similarity)
        weights = self.weights(scores[correct_N].double(), ids_N[correct_N], samples)
        replaced_N = torch.full_like(share_N, -1.0)
        replaced_N[correct_N] = weights * (1 - share_N[correct_N]) / share_N[correct_N]
        replaced_N[share_N == 0] = 0.0
        weighted = (weights != 1).sum().item() / len(ids_N)
        return replaced_N.to(advantages.dtype), {"exploration/weighted_share": weighted}

    def weights(self, scores: Tensor, group_ids: Tensor, samples: Samples) -> Tensor:
        """Of the correct responses alone; their mean is 1 in every group."""
        if self.placebo:
            scores = shuffle_in_groups(scores, group_ids, samples.generator(self.seed))
        low, high = group_min_max(scores, group_ids)
        alike = high - low < SMALLEST_RANGE
        relative = torch.where(alike, 0.5, (scores - low) / (high - low).masked_fill(alike, 1))
        weights = 1 + self.scale * (2 * relative - 1)
        return weights * group_sum(torch.ones_like(weights), group_ids) / group_sum(weights, group_ids)
