"""ProGRPO (arXiv 2602.05281): advantages move towards responses that the policy itself is unsure of.

Its token-mean loss, asymmetric clip range and missing KL term are verl's settings.
Shape suffixes: N responses, L positions.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from g2rl.groups import group_min_max
from g2rl.methods.base import Method, Metrics, Samples


@torch.no_grad()
def answer_confidence(log_probs: Tensor, mask: Tensor, fraction: float = 0.2) -> Tensor:
    """c(o|q): geometric mean of the probabilities of each response's least certain tokens.

    Of a response's n tokens the max(1, floor(fraction · n)) with the lowest log-probability count, so one of a response
    shorter than five tokens. An empty response has confidence 1, the mean over nothing being exp(0).

    Args:
        log_probs: [N, L] log-probability of the sampled tokens; what stands outside the mask does not matter.
        mask: [N, L] bool or 0/1, the response's tokens.
        fraction: in (0, 1].

    Returns:
        [N] float32 in [0, 1].

    Raises:
        ValueError: fraction out of its range.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be above 0 and at most 1, not {fraction!r}.")
    tokens_N = mask.bool().sum(-1)
    # Without the small number 0.29 · 100 would be 28.
    count_N = (fraction * tokens_N.double() + 1e-9).long().clamp(min=1).minimum(tokens_N)
    ascending_NL = log_probs.float().masked_fill(~mask.bool(), math.inf).sort(-1).values
    counts_NL = torch.arange(mask.shape[-1], device=mask.device) < count_N[:, None]
    return _mean_probability(ascending_NL, counts_NL)


@torch.no_grad()
def prompt_confidence(log_probs: Tensor, mask: Tensor) -> Tensor:
    """c(q): geometric mean of the probabilities of a prompt's tokens, 1 / its perplexity.

    A prompt's first token has no log-probability, so a prompt of one token has nothing to average: its confidence is 1.

    Args:
        log_probs: [N, L] log-probability of the prompt's tokens; what stands outside the mask does not matter.
        mask: [N, L] bool or 0/1, where a log-probability of a prompt's token stands.

    Returns:
        [N] float32 in [0, 1].
    """
    return _mean_probability(log_probs.float(), mask.bool())


def confidences(samples: Samples) -> tuple[Tensor, Tensor]:
    """c(o|q) and c(q) [N] of the samples' responses and prompts."""
    log_probs, mask = samples["log_probs"], samples["response_mask"]
    # Row t of a sequence predicts its token t + 1: rows 0 ... P - 2 those of a prompt of P tokens.
    prompt_rows_N = log_probs.offsets().diff() - mask.offsets().diff() - 1
    log_probs_NL = log_probs.to_padded_tensor(0.0)
    prompt_mask_NL = torch.arange(log_probs_NL.shape[1]) < prompt_rows_N[:, None]
    of_response_N = answer_confidence(samples["old_log_probs"].to_padded_tensor(0.0), mask.to_padded_tensor(0))
    return of_response_N, prompt_confidence(log_probs_NL, prompt_mask_NL)


def _mean_probability(log_probs_NL: Tensor, mask_NL: Tensor) -> Tensor:
    total_N = torch.where(mask_NL, log_probs_NL, 0).sum(-1)
    return (total_N / mask_NL.sum(-1).clamp(min=1)).exp()


@torch.no_grad()
def reweight_advantages(
    advantages: Tensor,
    correct: Tensor,
    response_confidence: Tensor,
    prompt_confidence: Tensor,
    group_ids: Tensor,
    *,
    alpha: float = 0.3,
) -> Tensor:
    """A_i + α (c(q) − c(o_i|q)) where the group has a correct response, else A_i.

    Args:
        advantages: [N] GRPO advantages, one per response.
        correct: [N] bool.
        response_confidence: [N] c(o|q), from `answer_confidence`.
        prompt_confidence: [N] c(q), from the function of that name.
        group_ids: [N] int64, which prompt; rows in any order, groups of any size.
        alpha: α ≥ 0, which the paper does not give; 0 leaves the advantages as they are.

    Returns:
        [N] in the dtype of `advantages`, without gradient.

    Raises:
        ValueError: alpha below 0 or not finite.
    """
    _check_alpha("alpha", alpha)
    any_correct_N = group_min_max(correct.int(), group_ids)[1] > 0
    shift_N = alpha * (prompt_confidence - response_confidence).to(advantages.dtype)
    return torch.where(any_correct_N, advantages + shift_N, advantages)


def _check_alpha(name: str, alpha: float) -> None:
    if not (isinstance(alpha, (int, float)) and 0 <= alpha < math.inf):
        raise ValueError(f"{name} must be a number of at least 0, not {alpha!r}.")


@dataclass(frozen=True)
class ProGRPO(Method):
    """The setting is explained in `reweight_advantages`."""

    needs: ClassVar[frozenset[str]] = frozenset({"log_probs", "old_log_probs", "response_mask"})

    alpha: float = 0.3

    def __post_init__(self) -> None:
        _check_alpha("exploration.alpha", self.alpha)

    def reweight_advantages(self, advantages: Tensor, samples: Samples) -> tuple[Tensor, Metrics]:
        of_response, of_prompt = confidences(samples)
        reweighted = reweight_advantages(
            advantages, samples.correct, of_response, of_prompt, samples.group_ids, alpha=self.alpha
        )
        return reweighted, {
            "exploration/response_confidence_mean": of_response.mean().item(),
            "exploration/prompt_confidence_mean": of_prompt.mean().item(),
            "exploration/advantage_shift_mean": (reweighted - advantages).mean().item(),
        }
