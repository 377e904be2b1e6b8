"""Pass@k training (arXiv 2508.10751): what is rewarded is that one of k responses is right.

This is not verl's `grpo_passk` (arXiv 2503.19595), which with rewards of 0 and 1 and groups of eight gives an advantage
only where exactly one response is correct.

Shape suffixes: N responses, K the numbers below k.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from g2rl.groups import group_sum
from g2rl.methods.base import Method, Metrics, Samples, check_number


def all_wrong_share(size_N: Tensor, wrong_N: Tensor, k: int) -> Tensor:
    """C(wrong, k) / C(size, k): of all choices of k out of `size` responses, the share without a correct one.

    0 where there are fewer than k responses.
    """
    below_K = torch.arange(k)
    return ((wrong_N[:, None] - below_K).clamp(min=0) / (size_N[:, None] - below_K).clamp(min=1)).prod(-1)


@dataclass(frozen=True)
class PassK(Method):
    """The advantage of a response is the mean advantage of the sets of k responses that it can be in.

    A set is worth 1 with a correct response in it and else 0, and all sets of a group are standardised together. With n
    responses, c of them correct, ρ = 1 − C(n − c, k) / C(n, k) and σ = √(ρ (1 − ρ)):

        correct:  (1 − ρ) / σ        wrong:  (1 − ρ − C(n − c − 1, k − 1) / C(n − 1, k − 1)) / σ

    with the authors' 1e-6 added to σ. Where no set or every set has a correct response, and in a group of fewer than k
    responses, the advantage is 0. k = 1 is GRPO with the population's standard deviation.
    These take the place of the advantages that verl's estimator gave, whichever it is.
    """

    replaces_advantages: ClassVar[bool] = True

    k: int = 4

    def __post_init__(self) -> None:
        check_number("k", self.k, 1, whole=True)

    @property
    def smallest_group(self) -> int:
        return max(2, self.k)

    def reweight_advantages(self, advantages: Tensor, samples: Samples) -> tuple[Tensor, Metrics]:
        correct_N = samples.correct.double()
        size_N = group_sum(torch.ones_like(correct_N), samples.group_ids)
        wrong_N = size_N - group_sum(correct_N, samples.group_ids)
        failed_N = all_wrong_share(size_N, wrong_N, self.k)
        # Of the sets that a wrong response is in: its k − 1 mates are all wrong as well.
        failed_with_N = all_wrong_share(size_N - 1, wrong_N - 1, self.k - 1)
        own_N = torch.where(samples.correct, failed_N, failed_N - failed_with_N)
        replaced_N = own_N / ((failed_N * (1 - failed_N)).sqrt() + 1e-6)
        return replaced_N.to(advantages.dtype), {"exploration/group_pass_at_k": 1 - failed_N.mean().item()}
