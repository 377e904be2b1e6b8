r"""An answer's normal form: what two writings of one answer share, ready for comparison.

Unicode becomes LaTeX (`characters.py`), LaTeX loses its looks (`latex.py`), then the formats of numbers and the words
around the answer are read here, and the unit is split off (`units.py`).
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from g2rl.verify.characters import to_latex
from g2rl.verify.latex import plain_latex
from g2rl.verify.units import split_unit

_MAX_LENGTH = 2000  # characters; nobody's answer is longer
_PLAIN = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?", re.ASCII)
_ANSWER_WORDS = (
    "so thus hence therefore and then finally we get have find obtain conclude that the correct final exact simplified "
    "our my answer answers result solution solutions value total it this there must should will be approximately to"
)
_PHRASE = re.compile(
    rf"(?:\\text\{{)?\s*(?:(?:{_ANSWER_WORDS.replace(' ', '|')})[\s,]+)*"
    r"(?:is|are|equals|(?:answer|result|solution|value|total)\s*(?=[:=]))(?![A-Za-z])\s*(?:equal to)?[\s:=]*\}?[\s:=]*",
    re.IGNORECASE,
)
_APPROXIMATELY = re.compile(r"\s*\\(?:approx|simeq)(?![A-Za-z])")
_THOUSANDS_MARK = re.compile(r"(?<=\d)(?:\{,\}|(?<!\d{4}) )(?=\d{3}(?!\d))")
_BETWEEN_DIGITS = re.compile(r"(?<=\d) (?=\d)")
_SEVERAL_NUMBERS = re.compile(r"(?<![\w^{}.])\d{1,40}(?:\.\d{0,40})? \d")  # not `\log_2 8`, `2^3 5`
_MIXED_NUMBER = re.compile(r"(?<![\d.,])(\d{1,20}) ([1-9]\d{0,19})/(\d{1,20})(?!\d)")
_SCIENTIFIC = re.compile(r"(?<![\w.\\{}^])(\d{1,40}(?:\.\d{1,40})?)[eE]\{?([-+]?\d{1,4})\}?(?![\w.^!({\\])")
_POWER_OF_TEN = re.compile(r"(?<=\d)\s*[x*]\s*(?=10\s*\^)")
_SIGNED_EXPONENT = re.compile(r"\^([-+]\d+)")
_REPEATING = re.compile(
    r"(?<![\d.])(\d{1,20})\.(\d{0,20})(?:\\overline\{(\d{1,20})\}|\((\d{1,20})\)|((?:\\dot\{\d\}\d{0,20})+))(?!\d)"
)
_PRODUCT = re.compile(r"(?<![\w.^{}\\])(\d{1,40}(?:\.\d{1,40})?|\(-?\d{1,40}\)) ?(?=\(-?[\d.]{1,40}\))")
_LETTER_LIST = re.compile(r"\\text\{(\s*[A-Za-z](?:\s*,\s*[A-Za-z])+\s*)\}")
_MULTIPLIERS = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_MULTIPLIER = re.compile(rf"(?<=[\d}})])\s*(?:\\text\{{\s*)?({'|'.join(_MULTIPLIERS)})(?![a-z])\s*(\}}|)")
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_LIST = re.compile(r", ")


@dataclass(frozen=True)
class NormalForm:
    """value: LaTeX for math-verify. unit: its one name, None for none that is known. whole: value and unit as text."""

    value: str
    unit: str | None
    whole: str

    @property
    def text(self) -> str:
        return compact(self.value)

    @property
    def has_several_numbers(self) -> bool:
        """Digits, white space, digits: `12 3` is no number, and math-verify would add them up."""
        return _SEVERAL_NUMBERS.search(self.value) is not None

    @property
    def is_list(self) -> bool:
        """A comma with a space behind it separates: `81, 256` is two numbers, `81,256` one."""
        return _LIST.search(self.value) is not None


@lru_cache(maxsize=1024)  # a prompt's responses are judged against the same gold answer
def normal_form(answer: str) -> NormalForm:
    """The normal form of an answer in LaTeX, Unicode or words. Only white space goes where it is absurdly long."""
    if _PLAIN.fullmatch(answer):
        return NormalForm(answer, None, answer)
    if len(answer) > _MAX_LENGTH:
        return NormalForm(answer, None, "".join(answer.split()))
    text = plain_latex(to_latex(answer))
    text = _APPROXIMATELY.sub("", text, count=1) if text.startswith("\\") else text
    phrase = _PHRASE.match(text)
    text = text[phrase.end() if phrase else 0 :].strip().rstrip(".,;").strip()
    text = _THOUSANDS_MARK.sub("", _MIXED_NUMBER.sub(_mixed_number, text)).replace("{,}", ",")
    text = _REPEATING.sub(_repeating_decimal, text)
    text = _SIGNED_EXPONENT.sub(r"^{\1}", _POWER_OF_TEN.sub(r" \\times ", text))
    text = _SCIENTIFIC.sub(r"\1 \\times 10^{\2}", text)
    while text != (product := _PRODUCT.sub(r"\1 \\cdot ", text)):
        text = product
    if letters := _LETTER_LIST.fullmatch(text):
        text = letters[1]
    text = _MULTIPLIER.sub(_power_of_ten, text)
    value, unit = split_unit(text)
    return NormalForm(value, unit, compact(text))


def compact(text: str) -> str:
    r"""The text without white space and `\text{}`, to compare. White space between digits is `|`: `3 1` is not 31."""
    return _BETWEEN_DIGITS.sub("|", _TEXT.sub(r"\1", text)).replace(" ", "").replace(r"\$", "")


def _mixed_number(match: re.Match) -> str:
    whole, numerator, denominator = match.groups()
    return rf"{whole}\frac{{{numerator}}}{{{denominator}}}" if int(numerator) < int(denominator) else match.group()


def _power_of_ten(match: re.Match) -> str:
    opened_text = "{" in match[0] and not match[2]  # `\text{million dollars}` goes on as text
    return rf" \cdot 10^{{{_MULTIPLIERS[match[1]]}}}" + (r"\text{" if opened_text else "")


def _repeating_decimal(match: re.Match) -> str:
    whole, fixed, bar, brackets, dots = match.groups()
    repeating = bar or brackets
    if dots:  # from the first dot to the last
        last = dots.rfind("}")
        if dots[last + 1 :]:
            return match.group()
        repeating = re.sub(r"\D", "", dots)
    value = Fraction(int(whole + fixed + repeating) - int(whole + fixed), 10 ** len(fixed) * (10 ** len(repeating) - 1))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
