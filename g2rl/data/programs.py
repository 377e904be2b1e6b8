"""Small Python functions to write, judged by hidden tests: the code task that needs no download.

"Write f(a, b): add a and b, then multiply by 3, then subtract 2." A right program is one expression or goes line by
line. The corpus that the tiny policy learns from is of mixed quality, so that rewards have habits to break: a chain of
steps written flat, without the parentheses it may need (`a+b*3-2`), and a step that is another than the one asked for.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from g2rl.data.streams import of_split

NUM_TESTS = 8
ARGUMENTS = range(-9, 21)
FLAT_SHARE = 0.6
SLIP_SHARE = 0.35

SUM, PRODUCT, POWER, NAME = 1, 2, 3, 4  # how tightly an expression binds


@dataclass(frozen=True)
class Step:
    """What to do with x: its words, its expression, how tightly that binds and how tightly x has to, its value."""

    words: str
    expression: str
    binds: int
    needs: int
    value: Callable[[int], int]


def _steps(words: str, expression: str, binds: int, needs: int, value: Callable[..., int], ks: range) -> list[Step]:
    """The step for each k."""
    return [Step(words.format(k=k), expression.replace("k", str(k)), binds, needs, partial(value, k=k)) for k in ks]


STARTS: dict[str, tuple[str, int, Callable[[int, int], int]]] = {  # words -> expression, how tightly it binds, value
    "add a and b": ("a+b", SUM, lambda a, b: a + b),
    "subtract b from a": ("a-b", SUM, lambda a, b: a - b),
    "multiply a and b": ("a*b", PRODUCT, lambda a, b: a * b),
}
STEPS: tuple[list[Step], ...] = (
    _steps("add {k}", "x+k", SUM, SUM, lambda x, k: x + k, range(1, 10)),
    _steps("subtract {k}", "x-k", SUM, SUM, lambda x, k: x - k, range(1, 10)),
    _steps("multiply by {k}", "x*k", PRODUCT, PRODUCT, lambda x, k: x * k, range(2, 6)),
    _steps("take the remainder by {k}", "x%k", PRODUCT, PRODUCT, lambda x, k: x % k, range(2, 6)),
    _steps("subtract it from {k}", "k-x", SUM, PRODUCT, lambda x, k: k - x, range(1, 10)),
    _steps("square it", "x**2", POWER, NAME, lambda x, k: x * x, range(1)),
)


@dataclass(frozen=True)
class Problem:
    """A function of a and b: a start, then one or two steps."""

    start: str
    steps: tuple[Step, ...]

    @property
    def question(self) -> str:
        return f"Write f(a, b): {', then '.join([self.start, *(step.words for step in self.steps)])}."

    @property
    def subject(self) -> str:
        return f"{1 + len(self.steps)} steps"

    @property
    def gold(self) -> str:
        """The hidden tests, as JSON for the judge of programs; drawn from the text's own seed."""
        pairs = [(a, b) for a in ARGUMENTS for b in ARGUMENTS]
        chosen = random.Random(self.question).sample(pairs, NUM_TESTS)
        tests = [{"args": [a, b], "result": self.value(a, b)} for a, b in chosen]
        return json.dumps({"function": "f", "tests": tests})

    def value(self, a: int, b: int) -> int:
        """What f(a, b) has to return."""
        x = STARTS[self.start][2](a, b)
        for step in self.steps:
            x = step.value(x)
        return x


def _draw(rng: random.Random) -> Problem:
    steps = tuple(_any_step(rng) for _ in range(rng.randint(1, 2)))
    return Problem(rng.choice(list(STARTS)), steps)


def problems(split: str, seed: int) -> Iterator[Problem]:
    """An endless seeded stream of problems of one split; a text may come again."""
    return of_split(_draw, lambda problem: problem.question, split, f"programs-{split}-{seed}")


def one_expression(problem: Problem, *, flat: bool = False) -> str:
    """The body of f as one line; flat leaves out the parentheses."""
    expression, binds, _ = STARTS[problem.start]
    for step in problem.steps:
        inner = expression if flat or binds >= step.needs else f"({expression})"
        expression, binds = step.expression.replace("x", inner), step.binds
    return f"    return {expression}"


def line_by_line(problem: Problem) -> str:
    """The body of f with a line for each step."""
    *before, last = [STARTS[problem.start][0], *(step.expression.replace("x", "c") for step in problem.steps)]
    return "\n".join([*(f"    c = {expression}" for expression in before), f"    return {last}"])


def in_a_block(body: str) -> str:
    return f"```python\ndef f(a, b):\n{body}\n```"


def worked_solution(
    problem: Problem, rng: random.Random, flat_share: float = FLAT_SHARE, slip_share: float = SLIP_SHARE
) -> str:
    """A response of the corpus: with probability `slip_share` one step is another, with `flat_share` it is flat."""
    if rng.random() < slip_share:
        steps = list(problem.steps)
        steps[rng.randrange(len(steps))] = _any_step(rng)
        problem = Problem(problem.start, tuple(steps))
    if rng.random() < flat_share:
        return in_a_block(one_expression(problem, flat=True))
    return in_a_block(rng.choice([one_expression, line_by_line])(problem))


def _any_step(rng: random.Random) -> Step:
    return rng.choice(rng.choice(STEPS))
