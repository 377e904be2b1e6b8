r"""Mathematics: do two final answers say the same?

Answers that are plain numbers or the same text are settled here with exact arithmetic, which is most of them. The rest
goes to math-verify (`symbolic.py`), which can run for ever: `VerifierPool` puts a limit on it.
"""

import re
from fractions import Fraction

from g2rl.verify.boxes import last_boxed
from g2rl.verify.notation import NormalForm, normal_form
from g2rl.verify.units import units_differ
from g2rl.verify.verdict import Verdict

_INTEGER = r"[0-9]{1,40}"
_NUMBER = re.compile(
    rf"[0-9]{{1,3}}(?:,[0-9]{{3}}){{1,12}}(?:\.[0-9]{{0,40}})?|{_INTEGER}(?:\.[0-9]{{0,40}})?|\.[0-9]{{1,40}}"
)
_PART = rf"(?:\{{(-?{_INTEGER})\}}|([0-9]))"
_QUOTIENT = re.compile(rf"\\frac{_PART}{_PART}|({_INTEGER})/({_INTEGER})")


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
    """Exact numbers are equal or not; where a decimal is involved they may differ by rounding.

    The rounding allowed is half a unit of the sixth decimal, and for numbers below 0.1 a relative 5e-6 (an absolute
    limit alone calls all tiny numbers equal).
    """
    if a == b or not decimal:
        return a == b
    return abs(a - b) <= min(Fraction(5, 10**7), max(abs(a), abs(b)) * Fraction(5, 10**6))


def compare_forms(gold: NormalForm, answer: NormalForm) -> tuple[bool | None, str]:
    """The comparison where no algebra is needed, and the step that decided it; None: algebra is needed."""
    if gold.whole == answer.whole:
        return gold.whole != "", "the same text"
    if gold.whole.isalpha() and len(gold.whole) > 1 and gold.whole.lower() == answer.whole.lower():
        return True, "the same words"
    if units_differ(gold.unit, answer.unit):
        return False, "different units"
    if gold.text == answer.text != "":
        return True, "the same text beside the unit"
    if gold.has_several_numbers or answer.has_several_numbers:
        return False, "several numbers without a sign between them"
    gold_number, answer_number = (None if form.is_list else _plain_number(form.text) for form in (gold, answer))
    if gold_number is None or answer_number is None:
        return None, "algebra"
    decimal = gold_number[1] or answer_number[1]
    return same_number(gold_number[0], answer_number[0], decimal=decimal), "exact arithmetic"


def compare_plain(gold: str, answer: str) -> bool | None:
    """The comparison where no algebra is needed: equal texts, different units, plain numbers. None: it is needed."""
    return compare_forms(normal_form(gold), normal_form(answer))[0]


def equal(gold: str, answer: str) -> bool:
    r"""Does the final answer `answer` say what the gold answer `gold` says? Both are LaTeX, without the box.

    Order matters: gold `2x + z = 1` is not answered by 1, while gold 1 is by `x = 1`. May run for ever on some inputs;
    raises nothing but MemoryError.
    """
    plain = compare_plain(gold, answer)
    if plain is not None:
        return plain
    from g2rl.verify import symbolic  # sympy takes 1.5 s to import, and most answers do not need it

    return symbolic.equal(normal_form(gold).value, normal_form(answer).value)


def same_answer(a: str, b: str) -> bool:
    """Are two final answers the same (142 and 142.0, 1/2 and 0.5)? Symmetric: each must pass with the other as gold."""
    return equal(a, b) and equal(b, a)


def verify_math(response: str, gold: str) -> Verdict:
    r"""Judge a mathematical response: the last complete `\boxed{}` of `response` against the answer `gold` (LaTeX).

    No box, an empty box or one whose brace never closes is no answer, and wrong. math-verify compares, gold first, with
    these decisions where it is known to err:

    - Numbers are compared exactly (2^{-99} != 2^{-98}); a decimal may be rounded at its sixth decimal and a relative
      5e-6, so 0.333333 = 1/3 while 0.33 != 1/3. 142 = 142.0.
    - The percent sign is a unit that may be left out: 10\% = 10, and so 10\% != 0.1.
    - Units may be left out but not exchanged: 5 cm = 5, 5 cm != 5 m; none is converted. See `units.py`.
    - A pair is ordered: (1, 2) is not answered by `2, 1`; a list without brackets is a set.
    - i is the imaginary unit: |3 + 4i| = 5.

    It can run for ever on some inputs: use `VerifierPool` for anything that a model wrote.
    """
    answer = last_boxed(response)
    return Verdict(answer is not None and equal(gold, answer), answer)
