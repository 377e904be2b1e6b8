"""Arithmetic that is too large for the tiny policy, with a calculator to ask: a response has several turns.

"What is 47*86+13?" A call may hold the whole expression or one operation. The corpus that the tiny policy learns from
is of mixed quality, so that rewards have habits to break: guesses without a call, and calls with another expression
than the one asked for.
"""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from g2rl.data.arithmetic import direct
from g2rl.data.streams import of_split

GUESS_SHARE = 0.4
SLIP_SHARE = 0.4
FACTOR = re.compile(r"\d{1,9}")
CALL = re.compile(r'<tool_call>.*"expression": "([^"]*)".*</tool_call>', re.DOTALL)


@dataclass(frozen=True)
class Problem:
    """a*b+c or a*b-c."""

    a: int
    b: int
    sign: str
    c: int

    @property
    def expression(self) -> str:
        return f"{self.a}*{self.b}{self.sign}{self.c}"

    @property
    def question(self) -> str:
        return f"What is {self.expression}?"

    @property
    def subject(self) -> str:
        return "sum" if self.sign == "+" else "difference"

    @property
    def gold(self) -> str:
        return value(self.expression)


def value(expression: str) -> str:
    """Of integers of up to nine digits, +, - and *, of which * comes first.

    Raises:
        ValueError: anything else.
    """
    total = 0
    for sign, term in re.findall(r"([-+]|^)([^-+]*)", expression.replace(" ", "")):
        product = 1
        for factor in term.split("*"):
            if not FACTOR.fullmatch(factor):
                raise ValueError(f"{expression!r} is not made of integers, +, - and *.")
            product *= int(factor)
        total += -product if sign == "-" else product
    return str(total)


def _draw(rng: random.Random) -> Problem:
    return Problem(rng.randint(11, 99), rng.randint(11, 99), rng.choice("+-"), rng.randint(11, 99))


def problems(split: str, seed: int) -> Iterator[Problem]:
    """An endless seeded stream of problems of one split; an expression may come again."""
    return of_split(_draw, lambda problem: problem.expression, split, f"arithmetic_tool-{split}-{seed}")


def call(expression: str) -> str:
    """What the policy writes to ask the calculator, in the format that verl calls hermes."""
    return f"<tool_call>{json.dumps({'name': 'calculate', 'arguments': {'expression': expression}})}</tool_call>"


def answer(turn: str) -> str:
    """What the calculator says to the call in a turn."""
    found = CALL.search(turn)
    assert found
    try:
        return value(found[1])
    except ValueError as error:
        return str(error)


def worked_solution(problem: Problem, rng: random.Random) -> list[str]:
    """Turns of the policy, and between them what the calculator answers: a guess, one call, or one an operation."""
    if rng.random() < GUESS_SHARE:
        return [direct(int(problem.gold) + rng.randint(-99, 99))]
    asked = _slip(problem, rng) if rng.random() < SLIP_SHARE else problem
    if rng.random() < 0.5:
        calls = [asked.expression]
    else:
        product = f"{asked.a}*{asked.b}"
        calls = [product, f"{value(product)}{asked.sign}{asked.c}"]
    turns = [turn for expression in calls for turn in (call(expression), value(expression))]
    return [*turns, f"The answer is \\boxed{{{turns[-1]}}}."]


def _slip(problem: Problem, rng: random.Random) -> Problem:
    """Another expression: a factor that is off by a few, or the other sign."""
    if rng.random() < 0.5:
        return Problem(problem.a, problem.b, "-" if problem.sign == "+" else "+", problem.c)
    return Problem(problem.a, problem.b + rng.choice((-2, -1, 1, 2)), problem.sign, problem.c)
