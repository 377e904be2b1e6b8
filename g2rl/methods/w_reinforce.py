"""Weighted REINFORCE (arXiv 2506.01347): what is wrong counts in full, what is right counts little."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from g2rl.methods.base import Method, Metrics, Samples, check_number


@dataclass(frozen=True)
class WReinforce(Method):
    """A = positive_weight where correct, −1 where wrong; a weight of 0 is the paper's negative samples alone (NSR).

    No group is compared within itself, so groups that are all right or all wrong count as well.
    These take the place of the advantages that verl's estimator gave, whichever it is: nothing standardises them.
    """

    replaces_advantages: ClassVar[bool] = True

    positive_weight: float = 0.1

    def __post_init__(self) -> None:
        check_number("positive_weight", self.positive_weight, 0)

    def reweight_advantages(self, advantages: Tensor, samples: Samples) -> tuple[Tensor, Metrics]:
        replaced_N = torch.where(samples.correct, self.positive_weight, -1.0).to(advantages.dtype)
        return replaced_N, {"exploration/advantage_mean": replaced_N.mean().item()}
