"""Tasks of the laboratory: problems whose ways to the answer can be told apart by the task itself."""

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from g2rl.data import room
from g2rl.data.generated import distinct_problems
from g2rl.verify import Verdict, verify_math
from g2rl.verify.code import CodePool, CodeSettings
from g2rl.verify.code.blocks import last_program

EQUATION = re.compile(r"(\d+)([-+*])(\d+)=(\d+)")


@dataclass(frozen=True)
class Problem:
    """answer: of a program, its hidden tests. kind: how the tables tell problems apart (room's `longer` is hard)."""

    question: str
    answer: str
    kind: str


def judge_answers(responses: Sequence[str], answers: Sequence[str]) -> list[Verdict]:
    return [verify_math(response, answer) for response, answer in zip(responses, answers, strict=True)]


def judge_programs(responses: Sequence[str], answers: Sequence[str]) -> list[Verdict]:
    """Runs them in the sandbox, as the recipe's reward does."""
    return _code_pool().verify_many(zip(responses, answers, strict=True))


@cache
def _code_pool() -> CodePool:
    return CodePool(1, CodeSettings(timeout_s=1.0))


def equations(response: str) -> str:
    """The equations of a response in their order, right or wrong, as in `3+4=7 7*2=14`."""
    return " ".join("".join((a, sign, b, "=", c)) for a, sign, b, c in EQUATION.findall(response))


def derivation(response: str, answer: str) -> str | None:
    """The equations of a response that got to the answer by them, whatever its words.

    None where there is no equation, where one is false, or where the last does not end in the answer: a guess and a
    lucky error are no derivations.
    """
    found = EQUATION.findall(response)
    true = all(room.OPERATIONS[sign](int(a), int(b)) == int(c) for a, sign, b, c in found)
    return equations(response) if found and true and found[-1][3] == answer else None


def program(response: str, _: str) -> str | None:
    """The syntax tree of the response's program, which its spaces and superfluous parentheses do not change."""
    found = last_program(response)
    return None if found is None else ast.dump(ast.parse(found))


@dataclass(frozen=True)
class Task:
    """name: of `g2rl.data.generated`.
    judge: the verdicts on responses, given their problems' answers.
    way: how a right response got to its answer; None where that cannot be said.
    """

    name: str
    judge: Callable[[Sequence[str], Sequence[str]], list[Verdict]]
    way: Callable[[str, str], str | None]

    def problems(self, split: str, count: int) -> list[Problem]:
        """Those that `python -m g2rl.data TASK` writes, in its order."""
        found = distinct_problems(self.name, split, count, seed=0)
        return [Problem(problem.question, problem.gold, problem.subject) for problem in found]


TASKS: dict[str, Task] = {
    "arithmetic": Task("arithmetic", judge_answers, derivation),
    "room": Task("room", judge_answers, derivation),
    "programs": Task("programs", judge_programs, program),
}
