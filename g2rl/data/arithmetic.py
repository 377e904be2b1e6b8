"""Multi-step arithmetic with several right ways to the answer: the task that needs no download.

Each problem has two to four strategies (which step comes first, whether to factor out) and each can be told in several
voices; `direct` names the answer without a step. The tiny policy is pre-trained on all of them, so that exploration has
something to choose between: the strategies are unequally safe.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from g2rl.data.streams import of_split


@dataclass(frozen=True)
class Problem:
    """One expression, its value, and the strategies that solve it: name -> equations in order."""

    kind: str
    expression: str
    answer: int
    strategies: dict[str, list[str]]

    @property
    def question(self) -> str:
        return f"What is {self.expression}?"

    @property
    def subject(self) -> str:
        return self.kind

    @property
    def gold(self) -> str:
        return str(self.answer)


def _add(a: int, b: int) -> str:
    return f"{a}+{b}={a + b}"


def _times(a: int, b: int) -> str:
    return f"{a}*{b}={a * b}"


def _sum_of_four(rng: random.Random) -> Problem:
    a, b, c, d = (rng.randint(2, 9) for _ in range(4))
    total = a + b + c + d
    strategies = {
        "left": [_add(a, b), _add(a + b, c), _add(a + b + c, d)],
        "right": [_add(c, d), _add(b, c + d), _add(a, b + c + d)],
        "pairs": [_add(a, b), _add(c, d), _add(a + b, c + d)],
        "outer": [_add(a, d), _add(b, c), _add(a + d, b + c)],
    }
    return Problem("sum", f"{a}+{b}+{c}+{d}", total, strategies)


def _factored(rng: random.Random) -> Problem:
    k, a, b = rng.randint(2, 6), rng.randint(2, 6), rng.randint(2, 6)
    strategies = {
        "inside": [_add(a, b), _times(k, a + b)],
        "distribute": [_times(k, a), _times(k, b), _add(k * a, k * b)],
    }
    return Problem("factored", f"{k}*({a}+{b})", k * (a + b), strategies)


def _two_products(rng: random.Random) -> Problem:
    a, b, c, d = (rng.randint(2, 6) for _ in range(4))
    strategies = {
        "first": [_times(a, b), _times(c, d), _add(a * b, c * d)],
        "second": [_times(c, d), _times(a, b), _add(a * b, c * d)],
    }
    return Problem("products", f"{a}*{b}+{c}*{d}", a * b + c * d, strategies)


def _common_factor(rng: random.Random) -> Problem:
    k, b, d = rng.randint(2, 6), rng.randint(2, 6), rng.randint(2, 6)
    a = b + d
    strategies = {
        "expand": [_times(k, a), _times(k, b), f"{k * a}-{k * b}={k * d}"],
        "factor": [f"{a}-{b}={d}", _times(k, d)],
    }
    return Problem("common", f"{k}*{a}-{k}*{b}", k * d, strategies)


KINDS: tuple[Callable[[random.Random], Problem], ...] = (_sum_of_four, _factored, _two_products, _common_factor)


def problems(split: str, seed: int) -> Iterator[Problem]:
    """An endless seeded stream of problems of one split; an expression may come again."""
    return of_split(lambda rng: rng.choice(KINDS)(rng), lambda problem: problem.expression, split, f"{split}-{seed}")


VOICES: tuple[Callable[[list[str], int], str], ...] = (
    lambda steps, answer: f"{', '.join(steps)}. \\boxed{{{answer}}}",
    lambda steps, answer: f"First {'. Then '.join(steps)}. So the answer is \\boxed{{{answer}}}.",
    lambda steps, answer: "\n".join([*steps, f"Answer: \\boxed{{{answer}}}"]),
)


GUESS_RANGE = 9
GUESS_SHARE = 0.4  # guesses: the share a policy has to learn to leave


def direct(answer: int) -> str:
    """An answer without any step."""
    return f"It is \\boxed{{{answer}}}."


def worked_solution(problem: Problem, rng: random.Random, guess_share: float = GUESS_SHARE) -> str:
    """A right solution in a random strategy and voice, or with probability `guess_share` a guess at the answer.

    A guess is off by up to `GUESS_RANGE`. Like the text that large models learn from, the corpus is of mixed quality:
    what a policy can learn from rewards is which of its habits lead to right answers.
    """
    if rng.random() < guess_share:
        return direct(problem.answer + rng.randint(-GUESS_RANGE, GUESS_RANGE))
    steps = rng.choice(list(problem.strategies.values()))
    return rng.choice(VOICES)(steps, problem.answer)
