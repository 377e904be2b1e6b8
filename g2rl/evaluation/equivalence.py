"""Which answers to one problem are the same answer: majority voting counts answers, not strings."""

from collections.abc import Callable, Sequence

EqualMany = Callable[[Sequence[tuple[str, str]]], list[bool]]
"""Says for each pair (answer, answer) whether they are equal."""


def answers_equal(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """Equality as the verifier of rewards has it, in this process and without a time limit."""
    from g2rl.verify import verify_math

    return [verify_math(f"\\boxed{{{answer}}}", other).correct for answer, other in pairs]


def answer_classes(
    answers: Sequence[Sequence[str | None]], correct: Sequence[Sequence[bool]], equal_many: EqualMany
) -> list[list[int]]:
    """Number the distinct answers of each problem.

    Correct answers are one class, since each equals the ground truth; no wrong answer joins it. A wrong answer joins
    the first class whose first answer it equals. The comparisons of all problems are made together, in as many calls
    of `equal_many` as the problem with the most distinct wrong answers has of those.

    Args:
        answers: P x N final answers; None or "" is no answer.
        correct: P x N verdicts.

    Returns:
        P x N class numbers, unique within a problem; -1 for no answer.
    """
    class_of: list[dict[str, int]] = [{} for _ in answers]  # distinct wrong answer -> class, by problem
    waiting = [
        list(dict.fromkeys(a for a, right in zip(row, verdicts, strict=True) if a and not right))
        for row, verdicts in zip(answers, correct, strict=True)
    ]
    while any(waiting):
        pairs = [(answer, row[0]) for row in waiting for answer in row[1:]]
        equal = iter(equal_many(pairs) if pairs else [])
        for p, row in enumerate(waiting):
            if row:
                number = len(row)  # falls with every round, so it is new; 0 is the correct answer
                joins = [row[0]] + [answer for answer in row[1:] if next(equal)]
                class_of[p].update(dict.fromkeys(joins, number))
                waiting[p] = [answer for answer in row if answer not in class_of[p]]
    return [
        [-1 if not a else 0 if right else class_of[p][a] for a, right in zip(row, correct[p], strict=True)]
        for p, row in enumerate(answers)
    ]
