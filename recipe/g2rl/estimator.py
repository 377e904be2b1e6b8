"""The bridge between a method of `g2rl.methods` and verl's advantage estimators.

verl calls an estimator with the token rewards, the response mask and the group index. What a method needs beside them
(features, embeddings, confidences) the trainer hands over just before, row for row.
"""

import numpy as np
import torch
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from g2rl.methods.base import Method, Samples


class ExplorationEstimator:
    """GRPO's group standardisation between a method's two halves: shaped rewards before, re-weighted advantages after.

    Rows that verl added as padding (`real_N` false) are not part of any group: they keep their reward.
    """

    def __init__(self, method: Method) -> None:
        self.method = method
        self.metrics: dict[str, float] = {}
        self._samples: Samples | None = None
        self._real_N = torch.empty(0, dtype=torch.bool)

    def hand_over(self, samples: Samples, real_N: torch.Tensor) -> None:
        """Give the samples of the real rows, in the order of the rows of the coming call."""
        self._samples, self._real_N = samples, real_N

    def __call__(
        self,
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        index: np.ndarray,
        config=None,
        **_,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns (advantages, returns), both [N, L], as verl's outcome estimators do."""
        assert self._samples is not None, "hand_over comes before each call"
        samples, real_N = self._samples, self._real_N
        shaped, metrics = self.method.shape_rewards(samples)
        self.metrics = dict(metrics)

        # Added to the last token, so that a KL penalty inside the rewards stays: scale 0 changes no bit.
        last_N = (response_mask.cumsum(dim=1).argmax(dim=1))[real_N]
        token_level_rewards = token_level_rewards.clone()
        token_level_rewards[real_N.nonzero()[:, 0], last_N] += shaped - samples.rewards

        advantages, _ = compute_grpo_outcome_advantage(
            token_level_rewards=token_level_rewards,
            response_mask=response_mask,
            index=index,
            norm_adv_by_std_in_grpo=config.get("norm_adv_by_std_in_grpo", True),
        )
        per_response = (advantages * response_mask)[torch.arange(len(advantages)), response_mask.argmax(dim=1)]
        reweighted, metrics = self.method.reweight_advantages(per_response[real_N], samples)
        self.metrics.update(metrics)
        change = torch.zeros_like(per_response)
        change[real_N] = reweighted - per_response[real_N]
        advantages = advantages + change[:, None] * response_mask
        return advantages, advantages
