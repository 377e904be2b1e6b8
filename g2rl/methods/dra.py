"""DRA-GRPO (arXiv 2505.09655): a correct response is worth less the more the others of its group resemble it.

What resembles what, a sentence embedding says.

Shape suffixes: N responses, G groups of one size, M members of such a group.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from g2rl.geometry import group_cosines, require_directions
from g2rl.methods.base import Metrics, RewardMethod, Samples


@dataclass(frozen=True)
class DRA(RewardMethod):
    """Of rewards of 0 and 1: reward / Σ_j cos(e_i, e_j), over the responses j of the group, i itself included.

    Negative cosines count as 0, which the authors' embeddings hardly give: the reward stays in (0, 1]. Written for
    rewards of ±1, which standardising makes no difference to: 2 / Σ_j cos(e_i, e_j) − 1 where correct, −1 where wrong.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"embeddings"})

    def shape_rewards(self, samples: Samples) -> tuple[Tensor, Metrics]:
        require_directions(samples["embeddings"])
        similarity_N = torch.ones(len(samples.correct), dtype=torch.float64)
        for rows_GM, cosines_GMM in group_cosines(samples["embeddings"], samples.group_ids):
            itself_MM = torch.eye(rows_GM.shape[1], dtype=torch.bool)
            similarity_N[rows_GM] += cosines_GMM.clamp(0, 1).masked_fill(itself_MM, 0).sum(-1)
        rewards_N = 2 * samples.correct / similarity_N - 1
        return rewards_N.float(), {"exploration/similarity_mean": similarity_N.mean().item()}
