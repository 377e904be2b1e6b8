"""What holds for every generated task: the same problems for a seed, and none in both splits."""

from itertools import islice, repeat

import pytest

from g2rl.data.generated import GENERATED, distinct_problems
from g2rl.data.streams import first_distinct


@pytest.mark.parametrize("task", GENERATED)
def test_problems_are_seeded_and_distinct(task):
    first = distinct_problems(task, "train", 200, seed=5)
    assert first == distinct_problems(task, "train", 200, seed=5)
    assert first != distinct_problems(task, "train", 200, seed=6)
    assert first[:50] == distinct_problems(task, "train", 50, seed=5)
    assert len({problem.question for problem in first}) == 200


@pytest.mark.parametrize("task", GENERATED)
def test_splits_share_no_problem_whatever_the_seeds(task):
    train = {problem.question for problem in islice(GENERATED[task].problems("train", seed=0), 10_000)}
    validation = {problem.question for problem in islice(GENERATED[task].problems("val", seed=1), 1000)}
    assert not train & validation


@pytest.mark.parametrize("count", [2, 0, -1])
def test_more_problems_than_there_are_or_none(count):
    (problem,) = distinct_problems("arithmetic", "val", 1, seed=1)
    with pytest.raises(ValueError, match=f"arithmetic: {count} problems of split val are asked for"):
        first_distinct(repeat(problem), count, "arithmetic", "val")
