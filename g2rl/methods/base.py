"""What an exploration method is to the trainer.

A step hands the method its samples; the method may shape their rewards before the group standardisation of GRPO and
re-weight the advantages after it. Which tensors it wants beside rewards it says in `needs`. A method is a frozen
dataclass whose fields are its settings: they are what stands under `exploration:` in the configuration.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from g2rl.geometry import geometry_metrics
from g2rl.groups import in_uniform_group

INPUTS = frozenset({"features", "embeddings", "confidence"})

Metrics = dict[str, float]


@dataclass(frozen=True, eq=False)
class Samples:
    """The N responses of one step, in the trainer's row order. What the method does not need is None."""

    rewards: Tensor  # [N] float32 base rewards, +1 or −1
    group_ids: Tensor  # [N] int64, which prompt
    valid: Tensor  # [N] bool, the response has a final answer
    features: Tensor | None = None  # [N, H] gradient features ("features")
    embeddings: Tensor | None = None  # [N, D] sentence embeddings ("embeddings")
    prompt_confidence: Tensor | None = None  # [N] in [0, 1] ("confidence")
    response_confidence: Tensor | None = None  # [N] in [0, 1] ("confidence")

    def __post_init__(self) -> None:
        if not (self.rewards.abs() == 1).all():
            raise ValueError(
                "Base rewards must be +1 or -1: the reward function turns 0/1 verdicts into 2 * verdict - 1."
            )

    @property
    def correct(self) -> Tensor:
        """[N] bool."""
        return self.rewards > 0


@dataclass(frozen=True)
class Method:
    """Plain GRPO: rewards and advantages stay as they are. Other methods override one of the two functions."""

    needs: ClassVar[frozenset[str]] = frozenset()  # a subset of INPUTS

    log_geometry: bool = False  # log the features' geometry, also where the method itself does not need them

    def __init_subclass__(cls) -> None:
        if unknown := cls.needs - INPUTS:
            raise ValueError(
                f"{cls.__name__}.needs names {', '.join(sorted(unknown))}; there are only {', '.join(sorted(INPUTS))}."
            )

    @property
    def inputs(self) -> frozenset[str]:
        """What the trainer has to fetch or compute for this run: the method's needs and what is to be logged."""
        return self.needs | {"features"} if self.log_geometry else self.needs

    def shape_rewards(self, samples: Samples) -> tuple[Tensor, Metrics]:
        """Rewards [N] that are standardised in their groups in place of the base rewards, and metrics to log."""
        return samples.rewards, {}

    def reweight_advantages(self, advantages: Tensor, samples: Samples) -> tuple[Tensor, Metrics]:
        """Advantages [N], one per response, in place of the standardised ones, and metrics to log."""
        return advantages, {}


def sample_metrics(samples: Samples, log_geometry: bool) -> Metrics:
    """What every method logs: the share of groups whose rewards are all equal, and the features' geometry if asked."""
    uniform_N = in_uniform_group(samples.rewards, samples.group_ids)
    uniform, groups = samples.group_ids[uniform_N].unique().numel(), samples.group_ids.unique().numel()
    metrics = {"exploration/uniform_group_share": uniform / groups}
    if log_geometry:
        assert samples.features is not None
        metrics |= geometry_metrics(samples.features, samples.group_ids)
    return metrics


def reward_metrics(shaped: Tensor) -> Metrics:
    """Smallest, mean and largest shaped reward [N] of a step."""
    return {
        "exploration/shaped_reward_min": shaped.min().item(),
        "exploration/shaped_reward_mean": shaped.mean().item(),
        "exploration/shaped_reward_max": shaped.max().item(),
    }
