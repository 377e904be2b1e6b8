"""G2RL (arXiv 2512.15687): a response is worth more the more its gradient direction differs from its peers'."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from g2rl.groups import shuffle_in_groups
from g2rl.methods.base import Metrics, RewardMethod, Samples, check_number
from g2rl.novelty import check_similarity, exploration_scores
from g2rl.shaping import check_settings, shape_rewards


@dataclass(frozen=True)
class G2RL(RewardMethod):
    """Settings are explained in `g2rl.shaping.shape_rewards` and `g2rl.novelty.exploration_scores`.

    placebo: deal out each group's exploration scores at random among its responses, anew each step. Whatever such a run
        still gains over GRPO does not come from the gradient.
    placebo_within_verdict: deal them out among the right and among the wrong responses of a group, each for themselves.
        A score that is higher for wrong answers stays so, and what is left to the gradient is which of them is new.
    seed: of the placebo.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features"})

    form: str = "equation"
    scale: float = 0.5
    clip: float = 3.0
    square_root: bool = True
    similarity: str = "squared"
    placebo: bool = False
    placebo_within_verdict: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self.form, self.scale, self.clip, prefix="exploration.")
        check_number("seed", self.seed, 0, whole=True)
        check_similarity(self.similarity, prefix="exploration.")
        if self.placebo_within_verdict and not self.placebo:
            raise ValueError("exploration.placebo_within_verdict=true needs exploration.placebo=true.")

    def shape_rewards(self, samples: Samples) -> tuple[Tensor, Metrics]:
        scores = exploration_scores(
            samples["features"],
            samples.rewards,
            samples.group_ids,
            square_root=self.square_root,
            similarity=self.similarity,
        )
        if self.placebo:
            groups = samples.group_ids
            if self.placebo_within_verdict:
                groups = 2 * groups + samples.correct
            scores = shuffle_in_groups(scores, groups, samples.generator(self.seed))

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
