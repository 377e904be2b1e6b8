"""Step three of G2RL: the exploration score scales the base reward.

The paper's equation, its prose and an independent re-implementation disagree on how, so the form has a name. With
`relative` the score min–max-normalised in its group (the highest is 1, the lowest 0), r the base reward and s the scale
(λ, which the paper does not give):

    form       factor f                correct: highest, lowest   wrong: highest, lowest
    equation   1 + s r relative        1 + s    1                 −1 + s   −1              eq. 12 as printed
    prose      1 + s (2 relative − 1)  1 + s    1 − s             −1 − s   −1 + s          what §2.4 says in words
    amplify    1 + s relative          1 + s    1                 −1 − s   −1
"""

import math
import warnings

from torch import Tensor

from g2rl.groups import group_min_max

FORMS = ("equation", "prose", "amplify")
SMALLEST_RANGE = 1e-6  # scores that lie closer together than this are equal

# From this scale on the best wrong answer (first number of the table's right half) reaches the worst correct one.
_OVERLAP_FROM = {"equation": 2.0, "prose": 1.0, "amplify": math.inf}


def shape_rewards(
    rewards: Tensor,
    scores: Tensor,
    group_ids: Tensor,
    *,
    form: str = "equation",
    scale: float = 0.5,
    clip: float = 3.0,
) -> Tensor:
    """Shaped rewards clip(r f, −clip, clip), eq. 12–13 of G2RL (arXiv 2512.15687).

    Where the scores of a group differ by less than 1e-6 there is nothing to tell apart and f = 1. That catches equal
    features. Those of equal responses in different micro-batches differ by the noise of the forward pass, far more than
    that in bfloat16: between them noise is spread over [0, 1].

    Args:
        rewards: [N] base rewards, +1 or −1.
        scores: [N] exploration scores, floating point.
        group_ids: [N] int64, which prompt; rows in any order, groups of any size.
        form: "equation", "prose" or "amplify": f as in the table at the top of this file.
        scale: λ ≥ 0; 0 leaves the rewards as they are.
        clip: largest absolute shaped reward, > 0.

    Returns:
        [N] in the dtype of `scores`, without gradient.

    Raises:
        ValueError: a reward that is neither +1 nor −1, or a setting out of its range.
    """
    check_settings(form, scale, clip)
    if not (rewards.abs() == 1).all():
        raise ValueError("Base rewards must be +1 or -1: turn 0/1 verdicts into 2 * verdict - 1 before shaping.")
    scores = scores.detach()
    rewards = rewards.detach().to(scores.dtype)
    low_N, high_N = group_min_max(scores, group_ids)
    range_N = high_N - low_N
    alike_N = range_N < SMALLEST_RANGE
    relative_N = (scores - low_N) / range_N.masked_fill(alike_N, 1)
    if form == "equation":
        factor_N = 1 + scale * rewards * relative_N
    elif form == "prose":
        factor_N = 1 + scale * (2 * relative_N - 1)
    else:
        factor_N = 1 + scale * relative_N
    return (rewards * factor_N.masked_fill(alike_N, 1)).clamp(-clip, clip)


def check_settings(form: str, scale: float, clip: float, prefix: str = "") -> None:
    """Raises ValueError for a setting out of its range; warns where a wrong answer can outrank a correct one.

    `prefix` stands before the setting's name in the message, as in `exploration.scale`.
    """
    if form not in FORMS:
        raise ValueError(f"{prefix}form must be one of {', '.join(FORMS)}, not {form!r}.")
    if not (isinstance(scale, (int, float)) and 0 <= scale < math.inf):
        raise ValueError(f"{prefix}scale must be a number of at least 0, not {scale!r}.")
    if not (isinstance(clip, (int, float)) and clip > 0):
        raise ValueError(f"{prefix}clip must be a number above 0, not {clip!r}.")
    if scale >= _OVERLAP_FROM[form]:
        warnings.warn(
            f"{prefix}scale={scale} with {prefix}form={form} lets a wrong answer earn as much as a correct one; "
            f"below {_OVERLAP_FROM[form]} it cannot.",
            UserWarning,
            stacklevel=3,
        )
