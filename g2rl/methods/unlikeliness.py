"""Unlikeliness reward (arXiv 2506.02355): of the correct responses, those that the policy finds unlikely earn more.

Shape suffixes: N responses, G groups of one size, M members of such a group.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from g2rl.groups import groups_by_size
from g2rl.methods.base import Metrics, RewardMethod, Samples, check_number


def relative_ranks(values: Tensor, group_ids: Tensor) -> Tensor:
    """[N] float64, rank within the group divided by the group's size; the least value has rank 0.

    Equal values share the mean of their ranks.
    """
    ranks_N = torch.empty(len(values), dtype=torch.float64)
    for rows_GM in groups_by_size(group_ids):
        values_GM = values[rows_GM]
        smaller_GM = (values_GM[:, None, :] < values_GM[:, :, None]).sum(-1)
        equal_GM = (values_GM[:, None, :] == values_GM[:, :, None]).sum(-1)
        ranks_N[rows_GM] = (smaller_GM + (equal_GM - 1) / 2).double() / rows_GM.shape[1]
    return ranks_N


@dataclass(frozen=True)
class Unlikeliness(RewardMethod):
    """Of rewards of 0 and 1: reward · (1 − beta · rank / n), with the rank in the whole group of n, 0 the least likely.

    The likelihood of a response is its mean log-probability a token. Written for rewards of ±1, which standardising
    makes no difference to: 1 − 2 beta rank / n where correct, −1 where wrong.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"old_log_probs", "response_mask"})

    beta: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("beta", self.beta, 0, 1)

    def shape_rewards(self, samples: Samples) -> tuple[Tensor, Metrics]:
        ranks_N = relative_ranks(samples.mean_log_probs(), samples.group_ids)
        loss_N = (2 * self.beta * ranks_N * samples.correct).float()
        return samples.rewards - loss_N, {"exploration/likelihood_loss_mean": loss_N.mean().item()}
