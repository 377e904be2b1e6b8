"""Problems, hidden tests and the programs of the corpus, checked by running the programs."""

import json
import random
import re
from itertools import islice

from g2rl.data.programs import (
    ARGUMENTS,
    FLAT_SHARE,
    NUM_TESTS,
    SLIP_SHARE,
    in_a_block,
    line_by_line,
    one_expression,
    problems,
    worked_solution,
)

SAMPLE = list(islice(problems("train", seed=3), 1000))


def run(response):
    """The function f of a response's only block."""
    (program,) = re.findall(r"\A```python\n(.*)\n```\Z", response, re.DOTALL)
    names = {}
    exec(program, names)
    return names["f"]


def passes(response, problem):
    f = run(response)
    return all(f(*test["args"]) == test["result"] for test in json.loads(problem.gold)["tests"])


def by_the_words(question, a, b):
    """The value that the English text asks for, read from the text alone."""
    start, *steps = question.removeprefix("Write f(a, b): ").removesuffix(".").split(", then ")
    x = {"add a and b": a + b, "subtract b from a": a - b, "multiply a and b": a * b}[start]
    for step in steps:
        k = int(step.split()[-1]) if step[-1].isdigit() else None
        if step == "square it":
            x = x**2
        elif step.startswith("subtract it from"):
            x = k - x
        elif step.startswith("take the remainder"):
            x = ((x % k) + k) % k
        else:
            x = {"add": x + k, "subtract": x - k, "multiply": x * k}[step.split()[0]]
    return x


def test_hidden_results_are_what_the_text_asks_for():
    for problem in SAMPLE:
        truth = json.loads(problem.gold)
        assert truth["function"] == "f" and len(truth["tests"]) == NUM_TESTS
        for test in truth["tests"]:
            assert test["result"] == by_the_words(problem.question, *test["args"]), problem.question
            assert set(test["args"]) <= set(ARGUMENTS)
        assert len({tuple(test["args"]) for test in truth["tests"]}) == NUM_TESTS


def test_both_right_ways_pass_everywhere():
    rng = random.Random(0)
    for problem in SAMPLE:
        for way in (one_expression, line_by_line):
            f = run(in_a_block(way(problem)))
            assert passes(in_a_block(way(problem)), problem), problem.question
            a, b = rng.randint(-99, 99), rng.randint(-99, 99)
            assert f(a, b) == by_the_words(problem.question, a, b)


def test_the_habits_are_wrong_about_as_often_as_they_should_be():
    flat = [passes(in_a_block(one_expression(problem, flat=True)), problem) for problem in SAMPLE]
    assert 0.3 < sum(flat) / len(flat) < 0.42
    rng = random.Random(0)
    slips = [passes(worked_solution(problem, rng, flat_share=0, slip_share=1), problem) for problem in SAMPLE]
    assert sum(slips) / len(slips) < 0.08  # another step may be the same one
    right = [passes(worked_solution(problem, rng, flat_share=0, slip_share=0), problem) for problem in SAMPLE]
    assert all(right)
    corpus = [passes(worked_solution(problem, rng), problem) for problem in SAMPLE]
    expected = (1 - SLIP_SHARE) * (1 - FLAT_SHARE + FLAT_SHARE * sum(flat) / len(flat))
    assert abs(sum(corpus) / len(corpus) - expected) < 0.05


def test_the_answer_is_not_in_the_question():
    assert not any(re.search(r"-?\d{2,}", problem.question) for problem in SAMPLE)


def test_there_are_thousands_of_problems():
    assert len({problem.question for problem in islice(problems("train", seed=0), 60_000)}) > 3400
    assert len({problem.question for problem in islice(problems("val", seed=1), 10_000)}) > 350
