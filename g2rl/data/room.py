"""Arithmetic in which collapse costs solutions: the usual way is wrong on most problems, the rare way is right there.

The usual way goes from the left, the rare one from the right. Where the product stands first, as in 3*4+5, only the
usual way is right; where it stands last, as in 3+4*5, only the rare one. A policy that learns from the former that its
usual way pays, and forgets the rare one, has lost the latter. Much of the corpus stops after one step, which is always
wrong: that habit is there to be left first.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from g2rl.data.arithmetic import VOICES, direct
from g2rl.data.streams import of_split

OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}
HASTY_SHARE = 0.5


@dataclass(frozen=True)
class Problem:
    """An expression, its value, the equations of both ways, and how often the corpus goes the rare one."""

    kind: str
    expression: str
    answer: int
    usual: list[str]
    rare: list[str]
    rare_share: float

    @property
    def question(self) -> str:
        return f"What is {self.expression}?"

    @property
    def subject(self) -> str:
        return self.kind

    @property
    def gold(self) -> str:
        return str(self.answer)


def _problem(kind: str, signs: str, numbers: tuple[int, ...], rare_share: float) -> Problem:
    """The ways take the operations one by one from an end."""
    expression = str(numbers[0]) + "".join(f"{sign}{number}" for sign, number in zip(signs, numbers[1:], strict=True))
    usual, left = [], numbers[0]
    for sign, number in zip(signs, numbers[1:], strict=True):
        result = OPERATIONS[sign](left, number)
        usual.append(f"{left}{sign}{number}={result}")
        left = result
    rare, right = [], numbers[-1]
    for sign, number in zip(reversed(signs), reversed(numbers[:-1]), strict=True):
        result = OPERATIONS[sign](number, right)
        rare.append(f"{number}{sign}{right}={result}")
        right = result
    return Problem(kind, expression, left if kind == "product first" else right, usual, rare, rare_share)


def _product_first(rng: random.Random) -> Problem:
    a, b, c = rng.randint(2, 6), rng.randint(2, 6), rng.randint(2, 30)
    return _problem("product first", "*+", (a, b, c), 0.03)


def _sum(rng: random.Random) -> Problem:
    return _problem("sum", "+*", (rng.randint(2, 30), rng.randint(2, 6), rng.randint(2, 6)), 0.08)


def _difference(rng: random.Random) -> Problem:
    b, c = rng.randint(2, 6), rng.randint(2, 6)
    return _problem("difference", "-*", (rng.randint(b * c + 1, 60), b, c), 0.12)


def _longer(rng: random.Random) -> Problem:
    numbers = (rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 6), rng.randint(2, 6))
    return _problem("longer", "++*", numbers, 0.15)


KINDS = (_product_first, _sum, _difference, _longer)


def problems(split: str, seed: int) -> Iterator[Problem]:
    """An endless seeded stream of problems of one split; an expression may come again."""
    seed_text = f"room-{split}-{seed}"
    return of_split(lambda rng: rng.choice(KINDS)(rng), lambda problem: problem.expression, split, seed_text)


def worked_solution(problem: Problem, rng: random.Random) -> str:
    """A response of the corpus: with probability `HASTY_SHARE` it stops after one step, else it goes a way."""
    if rng.random() < HASTY_SHARE:
        return direct(_result(problem.usual[0]))
    steps = problem.rare if rng.random() < problem.rare_share else problem.usual
    return rng.choice(VOICES)(steps, _result(steps[-1]))


def _result(equation: str) -> int:
    return int(equation.rpartition("=")[2])
