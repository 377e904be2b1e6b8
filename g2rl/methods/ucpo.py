"""UCPO (arXiv 2605.00365): of a group's correct responses, those that the policy finds unlikely get more advantage."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from g2rl.groups import group_min_max, group_sum
from g2rl.methods.base import Method, Metrics, Samples, check_number

SMALLEST_SHARE = 1e-6  # of q, as in the authors' code


def correct_weights(log_probs: Tensor, group_ids: Tensor, tau: float) -> Tensor:
    """c · ((1 − τ) / c + τ (1 / q_i) / Σ_j 1 / q_j) over the c responses of each group, with q = softmax(log_probs).

    Args:
        log_probs: [C] of the correct responses, floating point.
        group_ids: [C] int64.
        tau: τ in [0, 1].

    Returns:
        [C] float64; their mean in each group is 1.
    """
    log_probs = log_probs.double()
    likelihood = (log_probs - group_min_max(log_probs, group_ids)[1]).exp()
    share = (likelihood / group_sum(likelihood, group_ids)).clamp(min=SMALLEST_SHARE)
    inverse, count = 1 / share, group_sum(torch.ones_like(share), group_ids)
    return 1 - tau + tau * count * inverse / group_sum(inverse, group_ids)


@dataclass(frozen=True)
class UCPO(Method):
    """Multiplies the advantages of the correct responses by `correct_weights` of their mean log-probabilities a token.

    Those of wrong responses, and of a group's only correct one, stay. So does the sum over a group's correct responses
    where these have equal advantages, as in GRPO. It comes after verl's estimator. A τ of 0 is GRPO.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"old_log_probs", "response_mask"})

    tau: float = 0.2

    def __post_init__(self) -> None:
        check_number("tau", self.tau, 0, 1)

    def reweight_advantages(self, advantages: Tensor, samples: Samples) -> tuple[Tensor, Metrics]:
        weights_N = torch.ones(len(advantages), dtype=torch.float64)
        log_probs_N = samples.mean_log_probs()
        weights_N[samples.correct] = correct_weights(
            log_probs_N[samples.correct], samples.group_ids[samples.correct], self.tau
        )
        reweighted_N = (advantages * weights_N).to(advantages.dtype)
        return reweighted_N, {"exploration/advantage_weight_max": weights_N.max().item()}
