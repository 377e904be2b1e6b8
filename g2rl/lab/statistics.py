"""Differences paired by seed, and the scale between placebo and oracle.

Shape suffixes: S seeds, R bootstrap resamples.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from math import sqrt

import numpy as np
from mpmath import betainc, findroot  # sympy's, which math-verify brings

from g2rl.evaluation.metrics import bootstrap_interval

RESAMPLES = 10_000
FEWEST = 5  # seeds from which on an interval is shown


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> tuple[float, float, int]:
    """(mean difference over the seeds that both have, half-width of its 95 % interval by Student's t, seeds).

    The half-width is NaN for fewer than two seeds.
    """
    differences_S = np.array([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])
    count = len(differences_S)
    if count == 0:
        return float("nan"), float("nan"), 0
    half = t_quantile(count - 1) * differences_S.std(ddof=1) / sqrt(count) if count > 1 else float("nan")
    return float(differences_S.mean()), float(half), count


def bootstrap(ours: Mapping[int, float], theirs: Mapping[int, float]) -> tuple[float, float]:
    """95 % interval of the mean difference, the seeds that both have resampled."""
    low, high = bootstrap_interval(
        np.array([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])
    )
    return float(low), float(high)


def p_value(ours: Mapping[int, float], theirs: Mapping[int, float]) -> float:
    """Of Student's paired t, two-sided; 1 where no seed differs."""
    mean, half, count = paired(ours, theirs)
    if half == 0:
        return float(mean == 0)
    return two_sided(mean / half * t_quantile(count - 1), count - 1)


def two_sided(t: float, df: int) -> float:
    """Probability that Student's t with `df` degrees of freedom lies further from 0 than `t`."""
    return float(betainc(df / 2, 1 / 2, 0, df / (df + t**2), regularized=True))


@cache
def t_quantile(df: int) -> float:
    """97.5 % quantile of Student's t."""
    return float(findroot(lambda t: two_sided(t, df) - 0.05, (1.9, 13), solver="anderson"))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction of p-values that one question brings, in their order (Holm 1979)."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, largest)
    return adjusted


def share_of_oracle(
    score: Mapping[int, float], placebo: Mapping[int, float], oracle: Mapping[int, float]
) -> tuple[float, float, float] | None:
    """(score − placebo) / (oracle − placebo) of means over the same seeds, and its 95 % bootstrap interval.

    None with fewer than five seeds, and where the interval of oracle − placebo reaches 0: there is no scale then.
    """
    seeds = sorted(score.keys() & placebo.keys() & oracle.keys())
    values_S3 = np.array([[score[seed], placebo[seed], oracle[seed]] for seed in seeds])
    if len(seeds) < FEWEST:
        return None
    picked = np.random.default_rng(0).integers(len(seeds), size=(RESAMPLES, len(seeds)))
    mean_3, means_R3 = values_S3.mean(0), values_S3[picked].mean(1)
    if np.quantile(means_R3[:, 2] - means_R3[:, 1], 0.025) <= 0:
        return None
    shares_R = (means_R3[:, 0] - means_R3[:, 1]) / (means_R3[:, 2] - means_R3[:, 1])
    low, high = np.quantile(shares_R, [0.025, 0.975])
    return float((mean_3[0] - mean_3[1]) / (mean_3[2] - mean_3[1])), float(low), float(high)


def shown_difference(mean: float, half: float, seeds: int) -> str:
    if seeds == 0:
        return "no pair yet"
    if seeds < FEWEST:
        return f"{mean:+.2f} ({seeds} seeds)"
    zero = ", the interval contains zero" if abs(mean) <= half else ""
    return f"{mean:+.2f} ± {half:.2f} ({seeds} seeds{zero})"


def spread(values: Sequence[float], per_cent: bool) -> str:
    """Mean, and in brackets the lowest and the highest."""
    shown = (lambda value: f"{100 * value:.1f}") if per_cent else (lambda value: f"{value:.2f}")
    return f"{shown(np.mean(values))} [{shown(min(values))}, {shown(max(values))}]"
