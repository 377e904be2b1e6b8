"""What a verifier says of one response."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Verdict:
    """The judgement of one response.

    correct: the final answer equals the gold answer.
    answer:  the final answer as the response wrote it; None where it gives none.
    failure: why the comparison was given up, which makes `correct` False: "timeout" for one that passed the
             time limit, "crash" for one whose process died or ran out of memory. None for a comparison that ended.
    """

    correct: bool
    answer: str | None
    failure: Literal["timeout", "crash"] | None = None
