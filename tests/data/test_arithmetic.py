"""Every problem and every worked solution is checked by evaluating it anew."""

import ast
import operator
import random
import re
from itertools import islice

from g2rl.data.arithmetic import (
    GUESS_RANGE,
    KINDS,
    VOICES,
    direct,
    problems,
    worked_solution,
)
from g2rl.verify import verify_math

OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def value(expression: str) -> int:
    def walk(node):
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](walk(node.left), walk(node.right))
        assert isinstance(node, ast.Constant)
        return node.value

    return walk(ast.parse(expression, mode="eval").body)


SAMPLE = list(islice(problems("train", seed=3), 2000))


def test_answers_and_all_steps_are_right():
    for problem in SAMPLE:
        assert value(problem.expression) == problem.answer
        for equations in problem.strategies.values():
            for equation in equations:
                left, right = equation.split("=")
                assert value(left) == int(right)
            assert equations[-1].endswith(f"={problem.answer}")


def test_steps_use_only_given_or_computed_numbers():
    for problem in SAMPLE:
        for equations in problem.strategies.values():
            known = set(re.findall(r"\d+", problem.expression))
            for equation in equations:
                left, right = equation.split("=")
                assert set(re.findall(r"\d+", left)) <= known
                known.add(right)


def test_every_kind_occurs_and_has_several_strategies():
    kinds = {problem.kind: problem for problem in SAMPLE}
    assert len(kinds) == len(KINDS)
    assert all(len(problem.strategies) >= 2 for problem in kinds.values())
    for kind in kinds:  # the strategies are really different ones, on most problems
        differing = [
            len({tuple(equations) for equations in problem.strategies.values()}) == len(problem.strategies)
            for problem in SAMPLE
            if problem.kind == kind
        ]
        assert sum(differing) > 0.7 * len(differing)


def test_solutions_verify_and_come_in_all_styles():
    rng = random.Random(0)
    texts = set()
    for problem in SAMPLE[:200]:
        text = worked_solution(problem, rng, guess_share=0.0)
        assert verify_math(text, str(problem.answer)).correct, text
        texts.add(re.sub(r"\d+", "0", text))
    assert len(texts) > 2 * len(VOICES)


def test_a_guess_is_seldom_right_and_never_far():
    rng = random.Random(0)
    answer = SAMPLE[0].answer
    guesses = [worked_solution(SAMPLE[0], rng, guess_share=1.0) for _ in range(2000)]
    possible = [direct(answer + off) for off in range(-GUESS_RANGE, GUESS_RANGE + 1)]
    assert set(guesses) == set(possible)
    assert abs(guesses.count(direct(answer)) / len(guesses) - 1 / len(possible)) < 0.02
