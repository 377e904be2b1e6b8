r"""Mathematics: do two final answers say the same?

Answers that are plain numbers or the same text are settled here with exact arithmetic, which is most of them. The rest
goes to math-verify (`symbolic.py`), which can run for ever: `VerifierPool` puts a limit on it.
"""

import re
from fractions import Fraction

from g2rl.verify.boxes import last_boxed
from g2rl.verify.verdict import Verdict

_INTEGER = r"[0-9]{1,40}"
_DECIMAL = rf"(?:{_INTEGER}(?:\.[0-9]{{0,40}})?|\.[0-9]{{1,40}})"
_THOUSANDS = r"[0-9]{1,3}(?:,[0-9]{3}){1,12}(?:\.[0-9]{0,40})?"
_NUMBER = re.compile(rf"({_THOUSANDS}|{_DECIMAL})")
_QUOTIENT = re.compile(rf"\\[dtc]?frac\{{(-?{_INTEGER})\}}\{{(-?{_INTEGER})\}}|({_INTEGER})/({_INTEGER})")


def _plain_number(text: str) -> tuple[Fraction, bool] | None:
    """The value of an integer, decimal or fraction of integers, and whether it is a decimal; None for all else."""
    sign = -1 if text.startswith("-") else 1
    text = text[1:] if text[:1] in ("-", "+") else text
    if _NUMBER.fullmatch(text):
        return sign * Fraction(text.replace(",", "").rstrip(".")), "." in text
    if quotient := _QUOTIENT.fullmatch(text):
        numerator, denominator = (int(part) for part in quotient.groups() if part is not None)
        return (sign * Fraction(numerator, denominator), False) if denominator else None
    return None


def same_number(a: Fraction, b: Fraction, *, decimal: bool) -> bool:
    """Exact numbers are equal or not; a decimal may be rounded, to six decimals and a relative 5e-6."""
    if a == b or not decimal:
        return a == b
    return abs(a - b) <= min(Fraction(5, 10**7), max(abs(a), abs(b)) * Fraction(5, 10**6))


def compare_plain(gold: str, answer: str) -> bool | None:
    """The comparison where no algebra is needed: equal texts and plain numbers. None leaves it to `symbolic.equal`."""
    gold, answer = (re.sub(r"\s+|\\[,;:!]|\$", "", text) for text in (gold, answer))
    if gold == answer:
        return True
    gold_number, answer_number = _plain_number(gold), _plain_number(answer)
    if gold_number is None or answer_number is None:
        return None
    return same_number(gold_number[0], answer_number[0], decimal=gold_number[1] or answer_number[1])


def equal(gold: str, answer: str) -> bool:
    """Does `answer` say what `gold` says? May run for ever; never raises."""
    plain = compare_plain(gold, answer)
    if plain is not None:
        return plain
    from g2rl.verify import symbolic  # sympy takes 1.5 s to import and is not needed for most answers

    return symbolic.equal(gold, answer)


def same_answer(a: str, b: str) -> bool:
    """Are two final answers the same (142 and 142.0, 1/2 and 0.5)? Symmetric: each must pass with the other as gold."""
    return equal(a, b) and equal(b, a)


def verify_math(response: str, gold: str) -> Verdict:
    r"""Judge a mathematical response: the last complete `\boxed{}` against the gold answer."""
    answer = last_boxed(response)
    return Verdict(answer is not None and equal(gold, answer), answer)
