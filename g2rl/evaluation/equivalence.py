"""Which answers to one problem are the same answer: majority voting counts answers, not strings."""

from collections.abc import Callable, Sequence

from g2rl.verify import VerifierPool, same_answer

NO_ANSWER = -1

EqualMany = Callable[[Sequence[tuple[str, str]]], list[bool]]
"""Says for each pair of answers whether they are equal."""


def answers_equal(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """Equality as the verifier of the rewards has it, in this process and without a time limit."""
    return [same_answer(a, b) for a, b in pairs]


def equal_in_pool(pool: VerifierPool) -> EqualMany:
    """The same in the pool's worker processes: a comparison that passes the time limit counts as not equal."""

    def equal_many(pairs: Sequence[tuple[str, str]]) -> list[bool]:
        both_ways = [(f"\\boxed{{{x}}}", y) for a, b in pairs for x, y in ((a, b), (b, a))]
        verdicts = pool.verify_many(both_ways)
        return [there.correct and back.correct for there, back in zip(verdicts[::2], verdicts[1::2], strict=True)]

    return equal_many


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
    waiting = [
        list(dict.fromkeys(a for a, right in zip(row, verdicts, strict=True) if a and not right))
        for row, verdicts in zip(answers, correct, strict=True)
    ]
    class_of: list[dict[str, int]] = [{} for _ in answers]  # wrong answer -> class, by problem
    number = 0  # of the class of correct answers
    while any(waiting):
        number += 1
        pairs = [(answer, row[0]) for row in waiting for answer in row[1:]]
        equal = iter(equal_many(pairs) if pairs else [])
        for p, row in enumerate(waiting):
            joining = row[:1] + [answer for answer in row[1:] if next(equal)]
            class_of[p].update(dict.fromkeys(joining, number))
            waiting[p] = [answer for answer in row if answer not in class_of[p]]
    return [
        [NO_ANSWER if not a else 0 if right else classes[a] for a, right in zip(row, verdicts, strict=True)]
        for row, verdicts, classes in zip(answers, correct, class_of, strict=True)
    ]
