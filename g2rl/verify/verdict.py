"""What a verifier says of one response."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Verdict:
    """The judgement of one response.

    correct: the final answer equals the gold answer; for a program, it passes all tests.
    answer:  the final answer, or the program, as the response wrote it; None where it gives none.
    failure: why the comparison or the program was given up, which makes `correct` False: "timeout" for one that passed
             the time limit, "crash" for one whose process died or ran out of memory, "error" for a program that
             ended with an exception. None for one that ended.
    """

    correct: bool
    answer: str | None
    failure: Literal["timeout", "crash", "error"] | None = None
