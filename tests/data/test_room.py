"""Problems whose usual way is right for one kind alone, checked by Python's own arithmetic."""

import random
from collections import Counter

from g2rl.data.generated import distinct_problems
from g2rl.data.room import HASTY_SHARE, worked_solution

SAMPLE = distinct_problems("room", "train", 1000, seed=3)


def by_equations(steps):
    """The result of a way whose every equation is true, and that takes up each number of the problem once."""
    for step in steps:
        left, right = step.split("=")
        assert eval(left) == int(right)
    return int(steps[-1].split("=")[1])


def test_each_way_is_right_on_its_kinds_alone():
    for problem in SAMPLE:
        assert problem.answer == eval(problem.expression) >= 0
        right_by_usual = by_equations(problem.usual) == problem.answer
        right_by_rare = by_equations(problem.rare) == problem.answer
        assert (right_by_usual, right_by_rare) == ((True, False) if problem.kind == "product first" else (False, True))
        assert len(problem.usual) == len(problem.rare) == (3 if problem.kind == "longer" else 2)
        assert problem.rare[0].split("=")[0] in problem.expression
        assert int(problem.usual[0].split("=")[1]) != problem.answer  # stopping after one step is wrong


def test_the_corpus_has_the_shares_that_it_names():
    rng, counts = random.Random(0), Counter()
    for problem in SAMPLE * 20:
        solution = worked_solution(problem, rng)
        ways = {name: all(step in solution for step in getattr(problem, name)) for name in ("usual", "rare")}
        counts["rare" if ways["rare"] else "usual" if ways["usual"] else "hasty"] += 1
    shares = {name: count / 20_000 for name, count in counts.items()}
    rare = (1 - HASTY_SHARE) * sum(problem.rare_share for problem in SAMPLE) / len(SAMPLE)
    assert abs(shares["hasty"] - HASTY_SHARE) < 0.015 and abs(shares["rare"] - rare) < 0.005


def test_training_and_validation_do_not_meet():
    training = {problem.question for problem in distinct_problems("room", "train", 2048, seed=0)}
    validation = distinct_problems("room", "val", 300, seed=0)
    assert not training & {problem.question for problem in validation}
    assert {problem.kind for problem in validation} == {"product first", "sum", "difference", "longer"}
