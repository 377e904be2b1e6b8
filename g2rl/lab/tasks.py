"""Tasks of the laboratory: problems whose ways to the answer can be told apart by the task itself."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from g2rl.data import arithmetic, room

EQUATION = re.compile(r"(\d+)([-+*])(\d+)=(\d+)")
OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}


@dataclass(frozen=True)
class Problem:
    question: str
    answer: str
    kind: str


def arithmetic_problems(split: str, count: int) -> list[Problem]:
    """The problems that `python -m g2rl.data arithmetic` writes, in its order."""
    found = arithmetic.distinct_problems(split, count, seed=0)
    return [Problem(problem.question, str(problem.answer), problem.kind) for problem in found]


def room_problems(split: str, count: int) -> list[Problem]:
    """The problems of `g2rl.data.room`, of which the kind `longer` is the harder one."""
    return [Problem(found.question, found.gold, found.kind) for found in room.distinct_problems(split, count, seed=0)]


TASKS: dict[str, Callable[[str, int], list[Problem]]] = {"arithmetic": arithmetic_problems, "room": room_problems}


def equations(response: str) -> str:
    """The equations of a response in their order, right or wrong, as in `3+4=7 7*2=14`."""
    return " ".join("".join((a, sign, b, "=", c)) for a, sign, b, c in EQUATION.findall(response))


def derivation(response: str, answer: str) -> str | None:
    """The equations of a response that got to the answer by them, whatever its words.

    None where there is no equation, where one is false, or where the last does not end in the answer: a guess and a
    lucky error are no derivations.
    """
    found = EQUATION.findall(response)
    true = all(OPERATIONS[sign](int(a), int(b)) == int(c) for a, sign, b, c in found)
    return equations(response) if found and true and found[-1][3] == answer else None
