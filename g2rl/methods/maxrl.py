"""MaxRL (arXiv 2602.02710): advantages are divided by the group's mean reward: hard prompts count for more."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from g2rl.groups import group_sum
from g2rl.methods.base import Method, Metrics, Samples


@dataclass(frozen=True)
class MaxRL(Method):
    """Of rewards r of 0 and 1 with mean p in the group: A = (r − p) / (p + 1e-6), with the authors' 1e-6.

    That is (1 − p) / p for a correct response, −1 for a wrong one, and 0 for all where no response is correct.
    These take the place of the advantages that verl's estimator gave, whichever it is: nothing standardises them.
    """

    replaces_advantages: ClassVar[bool] = True

    def reweight_advantages(self, advantages: Tensor, samples: Samples) -> tuple[Tensor, Metrics]:
        correct_N = samples.correct.double()
        size_N = group_sum(torch.ones_like(correct_N), samples.group_ids)
        mean_N = group_sum(correct_N, samples.group_ids) / size_N
        replaced_N = (correct_N - mean_N) / (mean_N + 1e-6)
        return replaced_N.to(advantages.dtype), {"exploration/advantage_max": replaced_N.max().item()}
