"""What an exploration method is: what it asks of a step, and what it makes of rewards and advantages.

A step hands the method its samples. The method may shape their rewards before these are standardised in their groups,
and re-weight the advantages after it. A method is a frozen dataclass whose fields are its settings: they are what
stands under `exploration:` in the configuration.

Shape suffix: N responses of a step.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from g2rl.geometry import geometry_metrics
from g2rl.groups import in_uniform_group

Metrics = dict[str, float]


@dataclass(frozen=True, eq=False)
class Samples:
    """The N responses of one step.

    correct: [N] bool.
    group_ids: [N] int64, which prompt; rows in any order, groups of any size.
    valid: [N] bool, false where a response is known to have no final answer.
    columns: the inputs that the method named, by name:
        `features` [N, H] float32, the gradient features (arXiv 2512.15687, eq. 5 to 8);
        `hidden_states` [N, H] float32, mean of the LM head's inputs over the response's tokens;
        `embeddings` [N, D] float32, sentence embeddings;
        `log_probs` nested [N, prompt and response], whose row t is the log-probability of the sequence's token t + 1;
        `old_log_probs` and `response_mask`, both nested [N, response], of the response's tokens alone;
        and whatever else an engine's column or an input of the user's own gives.
    step: the number of the training step, for methods that draw random numbers.
    """

    correct: Tensor
    group_ids: Tensor
    valid: Tensor
    columns: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0

    @property
    def rewards(self) -> Tensor:
        """[N] float32, +1 where correct and −1 where not: the base rewards."""
        return 2.0 * self.correct.float() - 1.0

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def generator(self, seed: int) -> np.random.Generator:
        """Random numbers of this step: the same for the same seed and step, others in the next one."""
        return np.random.default_rng([seed, self.step])

    def mean_log_probs(self) -> Tensor:
        """[N] float64, mean log-probability of each response's tokens that count; 0 where none does.

        A method that calls this needs `old_log_probs` and `response_mask`.
        """
        mask_NL = self["response_mask"].to_padded_tensor(0).bool()
        log_probs_NL = self["old_log_probs"].to_padded_tensor(0.0).double().masked_fill(~mask_NL, 0)
        return log_probs_NL.sum(-1) / mask_NL.sum(-1).clamp(min=1)


@dataclass(frozen=True)
class Method:
    """Plain GRPO: rewards and advantages stay as they are. Other methods override one of the two functions.

    log_geometry: log the geometry of the gradient features, also where the method itself does not need them.
    """

    needs: ClassVar[frozenset[str]] = frozenset()  # names of columns
    replaces_advantages: ClassVar[bool] = False  # `reweight_advantages` does not look at those that it is given

    log_geometry: bool = False

    @property
    def inputs(self) -> frozenset[str]:
        """The columns of this run: the method's needs and what is to be logged."""
        return self.needs | {"features"} if self.log_geometry else self.needs

    @property
    def reweights(self) -> bool:
        """Whether the method changes the standardised advantages."""
        return type(self).reweight_advantages is not Method.reweight_advantages

    @property
    def smallest_group(self) -> int:
        """The fewest responses to a prompt that the method can compare."""
        return 2

    def shape_rewards(self, samples: Samples) -> tuple[Tensor, Metrics]:
        """Rewards [N] that are standardised in their groups in place of the base rewards, and metrics to log."""
        return samples.rewards, {}

    def reweight_advantages(self, advantages: Tensor, samples: Samples) -> tuple[Tensor, Metrics]:
        """Advantages [N], one per response, in place of the standardised ones, and metrics to log."""
        return advantages, {}


@dataclass(frozen=True)
class RewardMethod(Method):
    """A method that shapes rewards, with the treatment of groups whose answers are all right or all wrong.

    uniform_groups: "shape" lets the shaped rewards of such a group stand, so that standardising them spreads what
        differs only by the method; "neutral" gives it equal rewards and so no advantage, as GRPO does.
    """

    uniform_groups: str = "shape"

    def __post_init__(self) -> None:
        if self.uniform_groups not in ("shape", "neutral"):
            raise ValueError(f"exploration.uniform_groups={self.uniform_groups} is neither shape nor neutral.")


def shaped_rewards(method: Method, samples: Samples) -> tuple[Tensor, Metrics]:
    """What is standardised in place of the base rewards [N], and the metrics that every method logs of it."""
    rewards, metrics = method.shape_rewards(samples)
    uniform_N = in_uniform_group(samples.rewards, samples.group_ids)
    if isinstance(method, RewardMethod):
        if method.uniform_groups == "neutral":
            rewards = torch.where(uniform_N, samples.rewards, rewards)
        metrics = metrics | {
            "exploration/shaped_reward_min": rewards.min().item(),
            "exploration/shaped_reward_mean": rewards.mean().item(),
            "exploration/shaped_reward_max": rewards.max().item(),
        }
    uniform, groups = samples.group_ids[uniform_N].unique().numel(), samples.group_ids.unique().numel()
    metrics = metrics | {"exploration/uniform_group_share": uniform / groups}
    if method.log_geometry:
        metrics |= geometry_metrics(samples["features"], samples.group_ids)
    return rewards, metrics


def check_number(name: str, value: Any, low: float, high: float = math.inf, *, whole: bool = False) -> None:
    """
    Raises:
        ValueError: `exploration.<name>` is not a finite number (`whole`: a whole one) from `low` to `high`.
    """
    kinds = (int,) if whole else (int, float)
    if type(value) not in kinds or not low <= value <= high or math.isinf(value):
        limits = f"of at least {low}" if high == math.inf else f"from {low} to {high}"
        raise ValueError(f"exploration.{name} must be a {'whole ' if whole else ''}number {limits}, not {value!r}.")
