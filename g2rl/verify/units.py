r"""The unit of an answer: split off, and given one name for all its writings.

A unit may be left out (5 cm = 5, 60^\circ = 60, 2516_8 = 2516, €5 = 5) but not exchanged for another (5 cm != 5 m,
€5 != \$5); nothing is converted (50 mm != 5 cm). The percent sign counts as a unit: 10 % = 10, and hence 10 % != 0.1,
since 10 != 0.1. Words that are no unit of measurement say nothing (7 \text{ days} != 7 \text{ hours}, while
5 apples = 5).
"""

import re
import sys
import unicodedata
from itertools import pairwise

from g2rl.verify.latex import FUNCTIONS

_UNIT_NAMES = """
mm millimeter millimetre|cm centimeter centimetre|m meter metre|km kilometer kilometre|in inch inches|ft foot feet
yd yard|mi mile|mg milligram|g gram|kg kilogram|oz ounce|lb|pound|ton|sec s second|min minute|h hr hour|day|week|month
yr year|ml milliliter millilitre|l liter litre|gal gallon|quart|pint|cup|acre|hectare|degree deg|rad radian|mph|kmph kph
dollar usd|cent|euro eur|percent|am|pm|celsius|fahrenheit|dozen|sterling gbp|yen jpy|yuan rmb cny|rupee inr|won krw
ruble rub rouble|peso|lira|baht|dong|franc chf|shekel sheqel
"""
_UNITS = {name: line.split()[0] for line in re.split(r"[|\n]", _UNIT_NAMES.strip()) for name in line.split()}
_POWERS = {"square": "^2", "sq": "^2", "cubic": "^3", "cu": "^3"}
# Two names that do not exclude each other.
_COMPATIBLE = [{"degree", "celsius"}, {"degree", "fahrenheit"}, {"pound", "lb"}, {"pound", "sterling"}, {"yen", "yuan"}]


def _currency_names() -> dict[str, str]:
    """Every currency sign of Unicode, with the last word of its name: INDIAN RUPEE SIGN is a rupee."""
    signs = [sign for sign in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(sign) == "Sc"]
    names = {sign: unicodedata.name(sign).removesuffix(" SIGN").split()[-1].lower() for sign in signs}
    return {sign: _UNITS.get(name, name) for sign, name in names.items()} | {"£": "sterling"}


_CURRENCIES = _currency_names()
_SIGN = rf"(?:US|[AC](?=\\\$))?\s*\\?([{re.escape(''.join(_CURRENCIES))}])"
_MONEY_BEFORE = re.compile(rf"([-+]?)\s*{_SIGN}\s*(?=[-\d.\\])")
_MONEY_BEHIND = re.compile(rf"(?<=[\d}}])\s*{_SIGN}$")
_CODE_BEFORE = re.compile(r"([-+]?)([A-Z]{3})\s+(?=\d)")
_BASE = re.compile(r"-?\d+(?:\.\d+)?(?P<base>_(?:\{\d{1,2}\}|\d{1,2}))")
_ORDINAL = re.compile(r"(?<=\d)\s*\^?\{?(?:\\text\{(?:st|nd|rd|th)\}|(?:st|nd|rd|th)(?![A-Za-z]))\}?$")
_DEGREES = re.compile(r"(?:(?<=\d)\\circ(?![A-Za-z])|\^\{?\\circ(?![A-Za-z])\}?)")
_IN_DEGREES = re.compile(
    r"((?:\d+(?:\.\d+)?)?\\frac\{\d+\}\{\d+\}|\d+(?:\.\d+)?|(?<![A-Za-z\\])[a-z]|\\[a-z]+)\s*\^\\circ"
)
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_POWER = r"(?:\s*\^\s*\{?([23])\}?)?"
_TEXT_UNIT = re.compile(rf"\s*\\text\{{([^{{}}]*)\}}{_POWER}(?:\s*/\s*\\text\{{([^{{}}]*)\}}{_POWER})?$")
_WORD_UNIT = re.compile(rf"(?<=[\d}}\s)])\s*(?<![A-Za-z\\])([A-Za-z]{{2,}}(?:[\s.]+[A-Za-z]+){{0,3}})\.?{_POWER}$")
_UNIT_WORDS = re.compile(r"(?!\s*(?:or|and|to)\b)[A-Za-z.\s-]*")
_REACH = 120  # characters at the end of an answer in which its unit is looked for

# Words behind a number that are part of the mathematics, so that the number alone is not the answer.
_MEANINGFUL_WORDS = """
or and to over plus minus times divided by less more than not no is mod modulo choose
factorial squared cubed half halves third thirds quarter quarters fourth fourths fifth fifths sixth
sixths seventh eighth eighths ninth tenth tenths hundredth hundredths thousandth thousandths
infinity infty sqrt root negative positive except wrong false least most between through power hundred
alpha beta gamma delta epsilon zeta theta iota kappa lambda sigma omega upsilon sine cosine tangent
thousand million billion trillion prime base double twice pairs pair
"""
_MEANINGFUL = {*FUNCTIONS, *_MEANINGFUL_WORDS.split()}


def split_unit(answer: str) -> tuple[str, str | None]:
    """The answer without its unit, and the unit's one name; None where it has none that is known.

    A number base written as a subscript counts as a unit, as do the currency signs.
    """
    if money := _MONEY_BEFORE.match(answer):
        return money[1] + split_unit(answer[money.end() :])[0], _CURRENCIES[money[2]]
    if (code := _CODE_BEFORE.match(answer)) and (unit := _UNITS.get(code[2].lower())):
        return code[1] + answer[code.end() :], unit
    if number := _BASE.fullmatch(answer):
        return answer[: number.start("base")], "base " + number["base"].strip("_{}")
    answer = _DEGREES.sub(r"^\\circ", answer)
    head, tail = answer[:-_REACH], answer[-_REACH:]
    unit = None
    if match := _MONEY_BEHIND.search(tail):
        unit = _CURRENCIES[match[1]]
    elif tail.endswith(r"\%"):
        answer, unit = answer[:-2].rstrip(), "percent"
    elif match := _ORDINAL.search(tail):
        pass
    elif found := _words(tail):
        match, unit = found
    if match:
        answer = head + tail[: match.start()]
    if r"^\circ" not in answer and unit != "degree":
        return answer, unit
    if _TRIGONOMETRY.search(answer):  # the sine of 30 degrees is not the sine of 30
        answer = answer + r"^\circ" if unit == "degree" else answer
        return _IN_DEGREES.sub(r"(\\frac{\\pi}{180} \\cdot \1)", answer), None
    temperature = {"C": "celsius", "F": "fahrenheit"}.get(match[1].strip(" .")) if match and unit is None else None
    return answer.replace(r"^\circ", "").rstrip(), temperature or unit or "degree"


def _words(tail: str) -> tuple[re.Match, str | None] | None:
    """The words at the end of an answer that are a unit, or that say nothing, and the unit's name."""
    if match := _TEXT_UNIT.search(tail):
        words, power, over_words, over_power = match.groups()
        if over_words is None and "/" in words:
            words, _, over_words = words.partition("/")
            power, over_power = None, power
        words, own_power = _with_power(words, power)
        over_words, over_power = _with_power(over_words or "", over_power)
        if not re.search(r"\d", tail[: match.start()]) or not _UNIT_WORDS.fullmatch(words):
            return None
        if words.strip() in ("i", "e"):
            return None  # an upright imaginary unit
        unit = _unit_name(words, own_power)
        if unit and over_words:
            over = _unit_name(over_words, over_power)
            unit = over and f"{unit}/{over}"
        return match, unit
    if match := _WORD_UNIT.search(tail):
        unit = _unit_name(match[1], match[2])
        if unit or (not match[2] and re.search(r"\d\s+$", tail[: match.start(1)]) and _says_nothing(match[1])):
            return match, unit or "words"  # as good as a unit: 5 apples are not 5 cm
    return None


def _with_power(words: str, power: str | None) -> tuple[str, str | None]:
    inside = re.fullmatch(r"(.*)\^([23])\s*", words)
    return (inside[1], inside[2]) if inside else (words, power)


def _says_nothing(words: str) -> bool:
    """Are these English words, as in `5 red apples`, rather than a product of variables, as in `5 abc`?"""
    found = words.lower().split()
    if _MEANINGFUL & set(found) or not words.islower():
        return False
    if not any(len(word) >= 4 for word in found):
        return False
    rising = any(all(a < b for a, b in pairwise(word)) for word in found if word not in ("of", "in", "a"))
    return not rising and all(re.search("[aeiouy]", word) for word in found)


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
    return a is not None and b is not None and a != b and {a, b} not in _COMPATIBLE
