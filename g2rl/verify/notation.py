r"""What an answer's writing adds to its meaning: layout commands, units, number formats.

A unit may be left out (5 cm = 5, 60^\circ = 60, 2516_8 = 2516, \$5 = 5) but not exchanged for another (5 cm != 5 m,
10 % != 10 cm); nothing is converted (50 mm != 5 cm). The percent sign counts as a unit: 10 % = 10, and hence
10 % != 0.1, since 10 != 0.1. Words that are no unit of measurement say nothing (7 \text{ days} != 7 \text{ hours}, but
7 \text{ integers} = 7 \text{ values}).
"""

import re
from fractions import Fraction

_UNIT_NAMES = """
mm millimeter millimetre|cm centimeter centimetre|m meter metre|km kilometer kilometre|in inch inches|ft foot feet
yd yard|mi mile|mg milligram|g gram|kg kilogram|oz ounce|lb pound|ton|sec s second|min minute|h hr hour|day|week|month
yr year|ml milliliter millilitre|l liter litre|gal gallon|quart|pint|cup|acre|hectare|degree deg|rad radian|mph|kmph kph
dollar usd|cent|euro eur|percent|am|pm|celsius|fahrenheit
"""
_UNITS = {name: line.split()[0] for line in re.split(r"[|\n]", _UNIT_NAMES.strip()) for name in line.split()}
_POWERS = {"square": "^2", "sq": "^2", "cubic": "^3", "cu": "^3"}

_TEXT = r"\\(?:text|mbox|textrm|textnormal|textbf|textit|mathrm|operatorname|rm)\s*\{([^{}]*)\}"
_LAYOUT = re.compile(r"\\(?:left|right|displaystyle|limits)(?![A-Za-z])|\\[!,;: ]|~|\$|\s")
_DIGITS = r"\d{1,40}(?:\.\d{0,40})?"
_SPACE = r"(?:\s|~|\\[,;: ])"
_THOUSANDS_MARK = re.compile(rf"(?<=\d)(?:\{{,\}}|,\\!|(?<!\d{{4}}){_SPACE})(?=\d{{3}}(?!\d))")
_BETWEEN_DIGITS = re.compile(rf"(?<=\d){_SPACE}+(?=\d)")
_NUMBERS = re.compile(rf"(?<![\w^{{}}.]){_DIGITS}{_SPACE}+\d")  # not `\log_2 8`, `2^3 5`
_MIXED_NUMBER = re.compile(rf"(?<![\d.,])(\d{{1,20}}){_SPACE}+([1-9]\d{{0,19}})/(\d{{1,20}})(?!\d)")
_LIST = re.compile(rf",{_SPACE}")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_APPROXIMATELY = re.compile(r"^\s*\\(?:approx|simeq)(?![A-Za-z])")
_REPEATING = re.compile(r"(\d{1,20})\.(\d{0,20})\\(?:overline|bar)\{(\d{1,20})\}")
_ORDINAL = re.compile(r"\s*\^?\{?\\text\{\s*(?:st|nd|rd|th)\s*\}\}?\s*$")
_PERCENT = re.compile(r"\s*\\?%\s*$")
_BASE = re.compile(r"-?\d+(?:\.\d+)?(?P<base>_(?:\{\d{1,2}\}|\d{1,2}))")
_DEGREE = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\^\s*\{?\s*\\degree\s*\}?|°)\s*$")
_MONEY = re.compile(r"(-?)\s*\\\$\s*")
_UNIT_WORDS = re.compile(r"(?!\s*(?:or|and|to)\b)[A-Za-z.\s-]*")
_POWER = r"(?:\s*\^\s*\{?([23])\}?)?"
_TEXT_UNIT = re.compile(rf"(?:\s|\\[ ,;:!]|~)*{_TEXT}{_POWER}(?:\s*/\s*{_TEXT}{_POWER})?\s*$")
_WORD_UNIT = re.compile(rf"(?<=[\d}}\s)])\s*(?<![A-Za-z\\])([A-Za-z]{{2,}}(?:[\s.]+[A-Za-z]+){{0,3}})\.?{_POWER}\s*$")
_LETTER_LIST = re.compile(r"\\text\{(\s*[A-Za-z](?:\s*,\s*[A-Za-z])+\s*)\}")
_MULTIPLIERS = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_MULTIPLIER = re.compile(rf"(?<=[\d}})])\s*(?:\\text\{{\s*)?({'|'.join(_MULTIPLIERS)})(?![a-z])\s*(\}}|)")
_UNIT_REACH = 120  # characters at the end of an answer in which its unit is looked for


def clean(answer: str) -> str:
    """The answer without the marks that mean nothing: a final full stop, thousands marks, `\\approx`, kinds of frac."""
    answer = _APPROXIMATELY.sub("", answer).strip().rstrip(".,;").strip()
    answer = _THOUSANDS_MARK.sub("", _MIXED_NUMBER.sub(_mixed_number, answer))
    answer = _FRACTION.sub(r"\\frac", answer).replace("\\varnothing", "\\emptyset")
    if letters := _LETTER_LIST.fullmatch(answer):
        answer = letters.group(1)
    return _MULTIPLIER.sub(_power_of_ten, _REPEATING.sub(_repeating_decimal, answer))


def compact(answer: str) -> str:
    r"""The answer without white space, `\left`, `\right`, dollar signs and `\text{}` wrappers, to compare as text.

    White space between two digits becomes `|`: `3 1` is not 31.
    """
    return _LAYOUT.sub("", _BETWEEN_DIGITS.sub("|", re.sub(_TEXT, r"\1", answer)))


def has_several_numbers(answer: str) -> bool:
    """Digits, white space, digits: `12 3` is no number, and math-verify would add them up."""
    return _NUMBERS.search(answer) is not None


def is_list(answer: str) -> bool:
    """A comma with a space behind it separates: `81, 256` is two numbers, `81,256` one."""
    return _LIST.search(answer) is not None


def _mixed_number(match: re.Match) -> str:
    whole, numerator, denominator = match.groups()
    return rf"{whole}\frac{{{numerator}}}{{{denominator}}}" if int(numerator) < int(denominator) else match.group()


def _power_of_ten(match: re.Match) -> str:
    opened_text = "{" in match.group(0) and not match.group(2)  # `\text{ million dollars}` goes on as text
    return rf"\cdot 10^{{{_MULTIPLIERS[match.group(1)]}}}" + (r"\text{ " if opened_text else "")


def _repeating_decimal(match: re.Match) -> str:
    whole, fixed, repeating = match.groups()
    value = Fraction(int(whole + fixed + repeating) - int(whole + fixed), 10 ** len(fixed) * (10 ** len(repeating) - 1))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def split_unit(answer: str) -> tuple[str, str | None]:
    """The answer without its unit, and the unit's one name; None where it has none that is known.

    A number base written as a subscript counts as a unit, as do the currency signs.
    """
    head, tail = answer[:-_UNIT_REACH], answer[-_UNIT_REACH:]
    if not head and (money := _MONEY.match(tail)):
        return money.group(1) + split_unit(tail[money.end() :])[0], "dollar"
    if not head and (number := _BASE.fullmatch(tail.strip())):
        return tail.strip()[: number.start("base")], "base " + number["base"].strip("_{}")
    if match := _PERCENT.search(tail):
        unit = "percent"
    elif match := _ORDINAL.search(tail):
        unit = None
    elif match := _TEXT_UNIT.search(tail):
        words, power, over_words, over_power = match.groups()
        words, over_words = (text and _LAYOUT.sub(" ", text) for text in (words, over_words))
        if over_words is None and "/" in words:
            words, _, over_words = words.partition("/")
            power, over_power = None, power
        value = tail[: match.start()]
        if not re.search(r"\d", value) or not _UNIT_WORDS.fullmatch(words):
            return answer, None
        unit = _unit_name(words, power)
        if unit and over_words:
            over = _unit_name(over_words, over_power)
            unit = over and f"{unit}/{over}"
        if degree := _DEGREE.search(value):
            unit = {"C": "celsius", "F": "fahrenheit"}.get(words.strip(" ."), unit)
            match = degree
    elif match := _DEGREE.search(tail):
        unit = "degree"
    elif match := _WORD_UNIT.search(tail):
        unit = _unit_name(match.group(1), match.group(2))
        if unit is None:
            return answer, None
    else:
        return answer, None
    return head + tail[: match.start()], unit


def _unit_name(words: str, power: str | None) -> str | None:
    """One name for all writings of a unit ("sq. inches", "inches^2" -> "in^2"); None for words that are no unit."""
    name = ""
    exponent = f"^{power}" if power else ""
    for word in words.lower().replace("a.m", "am").replace("p.m", "pm").replace(".", " ").split():
        if word == "per":
            name += "/"
        elif word in _POWERS:
            exponent = _POWERS[word]
        elif unit := _UNITS.get(word) or _UNITS.get(word.removesuffix("s")):
            name += unit + exponent
            exponent = ""
        else:
            return None
    return name or None


def units_differ(a: str | None, b: str | None) -> bool:
    """Do two units exclude each other? A unit left out excludes none; a bare degree sign may be a temperature."""
    if a is None or b is None or a == b:
        return False
    return {a, b} not in ({"degree", "celsius"}, {"degree", "fahrenheit"})
