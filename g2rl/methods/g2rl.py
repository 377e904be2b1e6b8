"""G2RL (arXiv 2512.15687): a response is worth more the more its gradient direction differs from its peers'."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from g2rl.methods.base import Metrics, RewardMethod, Samples
from g2rl.novelty import exploration_scores
from g2rl.shaping import check_settings, shape_rewards


@dataclass(frozen=True)
class G2RL(RewardMethod):
    """Settings are explained in `g2rl.shaping.shape_rewards` and `g2rl.novelty.exploration_scores`."""

    needs: ClassVar[frozenset[str]] = frozenset({"features"})

    form: str = "equation"
    scale: float = 0.5
    clip: float = 3.0
    square_root: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self.form, self.scale, self.clip, self.uniform_groups, prefix="exploration.")

    def shape_rewards(self, samples: Samples) -> tuple[Tensor, Metrics]:
        scores = exploration_scores(
            samples["features"], samples.rewards, samples.group_ids, square_root=self.square_root
        )

        def shaped(clip: float) -> Tensor:
            return shape_rewards(
                samples.rewards,
                scores,
                samples.group_ids,
                form=self.form,
                scale=self.scale,
                clip=clip,
            )

        rewards = shaped(self.clip)
        return rewards, {
            "exploration/score_mean": scores.mean().item(),
            "exploration/score_std": scores.std(correction=0).item(),
            "exploration/clipped_share": (rewards != shaped(math.inf)).double().mean().item(),
        }
