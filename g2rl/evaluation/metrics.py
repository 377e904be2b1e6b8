"""pass@k, maj@k and their intervals: one definition for in-training validation and for the evaluation tables.

Letters in names: P problems, N samples of one problem, S subsets of its samples, C classes of equal answers, M metrics,
R bootstrap resamples.

verl's own `best@N` is not used: it draws with replacement, so one correct answer of four gives best@4 = 0.684, where
four samples of which one is correct do contain a correct one: pass@4 = 1.
"""

from collections.abc import Collection, Sequence
from itertools import combinations
from math import comb

import numpy as np

from g2rl.evaluation.equivalence import NO_ANSWER, EqualMany, answer_classes, answers_equal

NUM_SUBSETS = 1000  # of k samples out of n; all of them where there are no more than that
NUM_RESAMPLES = 10_000


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that k samples, drawn without replacement, contain a correct one: 1 - C(n-c, k) / C(n, k).

    The unbiased estimator of Chen et al. 2021 (arXiv:2107.03374, eq. 1).

    Raises:
        ValueError: k is not between 1 and `num_samples`, or `num_correct` not between 0 and `num_samples`.
    """
    _check_k(num_samples, k)
    if not 0 <= num_correct <= num_samples:
        raise ValueError(f"num_correct = {num_correct} must lie between 0 and num_samples = {num_samples}.")
    return 1.0 - comb(num_samples - num_correct, k) / comb(num_samples, k)


def majority_at_k(
    answers: Sequence[str | None],
    correct: Sequence[bool],
    k: int,
    *,
    seed: int = 0,
    equal_many: EqualMany = answers_equal,
) -> float:
    """Expected correctness of the most frequent answer among k of the N samples of one problem.

    A tie is broken uniformly, and its expectation is taken: a correct and a wrong answer at the top score 1/2. With
    k = N, or wherever there are at most `NUM_SUBSETS` subsets, the result is exact; otherwise it is the mean over
    `NUM_SUBSETS` subsets drawn with `seed`, without replacement within a subset.

    Args:
        answers: N final answers; None or "" is no answer and votes for nothing.
        correct: N verdicts. Correct answers count as one answer, since each equals the ground truth.
        equal_many: says for each pair of answers whether the verifier calls them equal ("142" and "142.0").

    Raises:
        ValueError: k is not between 1 and N, or `answers` and `correct` differ in length.
    """
    if len(answers) != len(correct):
        raise ValueError(f"answers and correct must have one entry per sample, not {len(answers)} and {len(correct)}.")
    (classes_N,) = answer_classes([answers], [correct], equal_many)
    return majority_of_classes(classes_N, correct, k, seed=seed)


def majority_of_classes(classes: Sequence[int], correct: Sequence[bool], k: int, *, seed: int = 0) -> float:
    """`majority_at_k` of answers already grouped: `classes` [N] from `answer_classes`, -1 for no answer."""
    _check_k(len(classes), k)
    classes_N, correct_N = np.asarray(classes), np.asarray(correct, dtype=bool)
    class_names_C = np.unique(classes_N[classes_N != NO_ANSWER])
    if len(class_names_C) == 0:
        return 0.0
    votes_NC = classes_N[:, None] == class_names_C
    class_correct_C = (votes_NC & correct_N[:, None]).any(axis=0)
    votes_SC = votes_NC[_subsets(len(classes_N), k, seed)].sum(axis=1)
    top_SC = (votes_SC == votes_SC.max(axis=1, keepdims=True)) & (votes_SC > 0)
    return float(((top_SC & class_correct_C).sum(axis=1) / np.maximum(top_SC.sum(axis=1), 1)).mean())


def bootstrap_interval(
    values: np.ndarray, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile interval of the mean over problems, problems resampled with replacement.

    Args:
        values: [P] or [P, M], one row per problem.

    Returns:
        Lower and upper end, each of shape [] or [M].
    """
    num_problems = len(values)
    rng = np.random.default_rng(seed)
    rows = max(1, 1_000_000 // num_problems)  # bounds the index matrix to 8 MB
    means = []
    for start in range(0, num_resamples, rows):
        count = min(rows, num_resamples - start)
        drawn_RP = rng.integers(num_problems, size=(count, num_problems)) + num_problems * np.arange(count)[:, None]
        times_drawn_RP = np.bincount(drawn_RP.ravel(), minlength=count * num_problems).reshape(count, num_problems)
        means.append(times_drawn_RP @ np.asarray(values, dtype=np.float64) / num_problems)
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5], axis=0)
    return low, high


def problem_metrics(
    classes: Sequence[Sequence[int]],
    correct: Sequence[Sequence[bool]],
    *,
    pass_ks: Sequence[int],
    majority_ks: Sequence[int],
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """pass@k and maj@k of each problem, name -> [P].

    Args:
        classes: P x N answer classes from `answer_classes`; not looked at where there is no k for maj@k.
        correct: P x N verdicts.

    Raises:
        ValueError: a k is larger than the number of samples of some problem.
    """
    metrics = {}
    for k in pass_ks:
        metrics[f"pass@{k}"] = np.array([pass_at_k(len(row), sum(row), k) for row in correct])
    for k in majority_ks:
        rows = enumerate(zip(classes, correct, strict=True))
        metrics[f"maj@{k}"] = np.array([majority_of_classes(c, row, k, seed=seed + p) for p, (c, row) in rows])
    return metrics


def validation_metrics(
    data_sources: Sequence[str],
    problem_ids: Sequence[str],
    correct: Sequence[bool],
    answers: Sequence[str | None],
    *,
    equal_many: EqualMany,
    without_majority: Collection[str],
) -> dict[str, float]:
    """What a trainer logs after a validation: `val/<data source>/pass@k` and `maj@n`, means over problems.

    The four sequences have one entry per sample, in any order; samples of one problem share its id. n is the number of
    samples a problem (of the problem with the fewest), k runs over the powers of two up to n, and n. A sample that was
    never generated is to be passed as wrong and without an answer, so that every problem has n.

    `equal_many` is `equal_in_pool(pool)`, so that no pair of answers can hang the trainer. Data sources in
    `without_majority` have no maj@n: equal programs mean nothing.

    Raises:
        ValueError: the sequences differ in length.
    """
    samples: dict[str, dict[str, list[int]]] = {}
    for i, (source, problem, _, _) in enumerate(zip(data_sources, problem_ids, correct, answers, strict=True)):
        samples.setdefault(source, {}).setdefault(problem, []).append(i)
    result = {}
    for source, rows_by_problem in samples.items():
        correct_PN = [[bool(correct[i]) for i in rows] for rows in rows_by_problem.values()]
        answers_PN = [[answers[i] for i in rows] for rows in rows_by_problem.values()]
        n = min(len(row) for row in correct_PN)
        majority_ks = [n] if n > 1 and source not in without_majority else []
        classes_PN = answer_classes(answers_PN, correct_PN, equal_many) if majority_ks else []
        metrics = problem_metrics(classes_PN, correct_PN, pass_ks=powers_of_two(n), majority_ks=majority_ks)
        result.update({f"val/{source}/{name}": float(values_P.mean()) for name, values_P in metrics.items()})
    return result


def powers_of_two(n: int) -> list[int]:
    """1, 2, 4, ... up to n, and n itself."""
    return sorted({2**i for i in range(n.bit_length())} | {n})


def _subsets(n: int, k: int, seed: int) -> np.ndarray:
    """[S, k] indices of samples: every subset where there are few, seeded ones otherwise."""
    if comb(n, k) <= NUM_SUBSETS:
        return np.array(list(combinations(range(n), k)))
    order_SN = np.tile(np.arange(n), (NUM_SUBSETS, 1))
    return np.random.default_rng(seed).permuted(order_SN, axis=1)[:, :k]


def _check_k(num_samples: int, k: int) -> None:
    if not 1 <= k <= num_samples:
        raise ValueError(f"k = {k} must lie between 1 and the number of samples of the problem, {num_samples}.")
