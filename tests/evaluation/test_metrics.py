"""pass@k and maj@k against brute force over all subsets; intervals against a second derivation."""

import random
from collections import Counter
from fractions import Fraction
from itertools import combinations, combinations_with_replacement, product
from math import comb

import numpy as np
import pytest

from g2rl.evaluation import bootstrap_interval, majority_at_k, pass_at_k, validation_metrics
from g2rl.evaluation.equivalence import answer_classes
from g2rl.evaluation.metrics import NUM_SUBSETS, powers_of_two


def same_number(pairs):
    return [float(Fraction(a)) == float(Fraction(b)) for a, b in pairs]


def brute_force_majority(answers, gold, k):
    """Mean over all subsets of the expected correctness of the winner, ties broken uniformly."""
    scores = []
    for subset in combinations(answers, k):
        votes = Counter(Fraction(a) for a in subset if a)
        top = [a for a, count in votes.items() if count == max(votes.values())]
        scores.append(Fraction(sum(a == gold for a in top), len(top)) if top else Fraction(0))
    return float(sum(scores) / len(scores))


def test_pass_at_k_equals_the_share_of_subsets_with_a_correct_sample():
    for n in range(1, 9):
        for c in range(n + 1):
            verdicts = [True] * c + [False] * (n - c)
            for k in range(1, n + 1):
                share = np.mean([any(subset) for subset in combinations(verdicts, k)])
                assert pass_at_k(n, c, k) == pytest.approx(share, abs=1e-15)


def test_pass_at_k_of_one_correct_sample_in_four_is_one():
    assert pass_at_k(4, 1, 4) == 1.0
    assert pass_at_k(4, 1, 1) == 0.25


def test_pass_at_k_of_many_samples_stays_exact():
    assert pass_at_k(10_000, 1, 5_000) == pytest.approx(0.5, abs=1e-12)
    assert pass_at_k(1024, 0, 1024) == 0.0


def check_majority(answers):
    correct = [a is not None and Fraction(a) == 1 for a in answers]
    for k in range(1, len(answers) + 1):
        expected = brute_force_majority(answers, 1, k)
        assert majority_at_k(answers, correct, k, equal_many=same_number) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", range(1, 9))
def test_majority_equals_brute_force_for_every_bag_of_up_to_eight_answers(n):
    for answers in combinations_with_replacement(["1", "1.0", "2", "3", None], n):
        check_majority(answers)


def test_majority_equals_brute_force_in_every_order():
    for answers in product(["1", "1.0", "2", "2/1", None, ""], repeat=4):
        check_majority([answer or None for answer in answers])


def test_majority_breaks_ties_in_expectation():
    assert majority_at_k(["7", "8"], [True, False], 2, equal_many=same_number) == 0.5
    assert majority_at_k(["7", "8", "9", "10"], [True, False, False, False], 4, equal_many=same_number) == 0.25
    assert majority_at_k(["7", "8", "9", "9"], [True, False, False, False], 4, equal_many=same_number) == 0.0


def test_majority_counts_answers_not_strings():
    answers = ["142", "142.0", "5", "5", "71"]
    correct = [False, False, True, True, False]
    assert majority_at_k(answers, correct, 5, equal_many=same_number) == 0.5


def test_no_answer_votes_for_nothing():
    assert majority_at_k([None, None, None, "7"], [False, False, False, True], 4, equal_many=same_number) == 1.0
    assert majority_at_k([None, "", None], [False] * 3, 3, equal_many=same_number) == 0.0
    # Of the four samples, one in four subsets of one holds the answer.
    assert majority_at_k([None, None, None, "7"], [False, False, False, True], 1, equal_many=same_number) == 0.25


def test_majority_over_drawn_subsets_is_seeded_and_near_the_exact_expectation():
    n, k, c = 40, 9, 22  # right and wrong are two answers: the majority is right where at least 5 of 9 are
    answers = ["1"] * c + ["2"] * (n - c)
    correct = [True] * c + [False] * (n - c)
    exact = sum(comb(c, i) * comb(n - c, k - i) for i in range(5, k + 1)) / comb(n, k)
    drawn = majority_at_k(answers, correct, k, seed=3, equal_many=same_number)
    assert drawn == majority_at_k(answers, correct, k, seed=3, equal_many=same_number)
    assert drawn != majority_at_k(answers, correct, k, seed=4, equal_many=same_number)
    assert drawn == pytest.approx(exact, abs=5 * (exact * (1 - exact) / NUM_SUBSETS) ** 0.5)


@pytest.mark.parametrize("k", [0, 5, -1])
def test_k_beyond_the_number_of_samples_is_an_error(k):
    with pytest.raises(ValueError, match="number of samples"):
        pass_at_k(4, 1, k)
    with pytest.raises(ValueError, match="number of samples"):
        majority_at_k(["1"] * 4, [True] * 4, k, equal_many=same_number)


def test_impossible_counts_are_errors():
    with pytest.raises(ValueError, match="num_correct"):
        pass_at_k(4, 5, 1)
    with pytest.raises(ValueError, match="one entry per sample"):
        majority_at_k(["1"], [True, False], 1)


def test_classes_compare_each_pair_once_and_never_mix_right_and_wrong():
    compared = []

    def equal_many(pairs):
        compared.extend(pairs)
        return same_number(pairs)

    answers = [["1", "1.0", "3", "3.0", "4", None], ["2", "2", "2", "2", "2", "2"]]
    correct = [[True, True, False, False, False, False], [False] * 6]
    classes = answer_classes(answers, correct, equal_many)
    assert classes[0][0] == classes[0][1] == 0 and classes[0][2] == classes[0][3] != classes[0][4]
    assert classes[0][5] == -1 and len(set(classes[1])) == 1
    assert compared == [("3.0", "3"), ("4", "3")]


def test_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        low, high = bootstrap_interval(rng.random(60), num_resamples=500, seed=trial)
        covered += low <= 0.5 <= high
    assert 0.90 <= covered / 200 <= 0.985


def test_bootstrap_interval_matches_the_normal_one_and_is_seeded():
    values = np.random.default_rng(1).random((2000, 2))
    low, high = bootstrap_interval(values, seed=5)
    half = 1.96 * values.std(axis=0) / 2000**0.5
    np.testing.assert_allclose(low, values.mean(axis=0) - half, atol=1e-3)
    np.testing.assert_allclose(high, values.mean(axis=0) + half, atol=1e-3)
    assert (bootstrap_interval(values, seed=5)[0] == low).all()
    assert bootstrap_interval(np.ones(7)) == (1.0, 1.0)
    np.testing.assert_allclose(bootstrap_interval(values[:, 0], seed=5)[0], low[0], rtol=1e-12)


def test_validation_metrics_of_rows_in_any_order():
    rows = [("arithmetic", "a", True, "4"), ("arithmetic", "a", False, "5"), ("arithmetic", "a", False, "5.0")]
    rows += [("arithmetic", "b", False, None), ("arithmetic", "b", True, "1"), ("arithmetic", "b", True, "1")]
    rows += [("gsm8k", "a", False, "9")]
    expected = {
        "val/arithmetic/pass@1": 0.5,
        "val/arithmetic/pass@2": np.mean([2 / 3, 1.0]),
        "val/arithmetic/pass@3": 1.0,
        "val/arithmetic/maj@3": 0.5,
        "val/gsm8k/pass@1": 0.0,
    }
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        metrics = validation_metrics(*zip(*rows, strict=True), equal_many=same_number, without_majority=())
        assert metrics == pytest.approx(expected)


def test_powers_of_two_end_with_n():
    assert powers_of_two(1) == [1]
    assert powers_of_two(6) == [1, 2, 4, 6]
    assert powers_of_two(16) == [1, 2, 4, 8, 16]
