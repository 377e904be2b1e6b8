r"""Mathematics in Unicode, as models write it without LaTeX (`√2`, `½`, `x²`, `2×10⁵`, full-width digits), as LaTeX.

What a character means comes from Unicode's own data (`unicodedata`: compatibility decompositions, categories) and from
pylatexenc's table of the LaTeX names of characters; the table below is what neither knows.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import groupby

from pylatexenc.latexencode import get_builtin_uni2latex_dict

_LATEX_NAMES = get_builtin_uni2latex_dict()
_MATHEMATICAL = re.compile(r"\\ensuremath\{(\\[A-Za-z]+|\\mathbb\{[A-Z]\}|[-+*/:=<>])\}")

_OURS = {
    **dict.fromkeys("‐‑‒–—―−﹣－˗➖", "-"),
    **dict.fromkeys("×✕✖⨯╳", r"\times "),
    **dict.fromkeys("·∙•●・", r"\cdot "),
    **dict.fromkeys("°º˚", r"^\circ "),
    **dict.fromkeys("∅⌀", r"\emptyset "),
    **dict.fromkeys("’‘＇", "'"),
    "′": r"^{\prime}",
    **dict.fromkeys("“”", '"'),
    **dict.fromkeys("％﹪٪", r"\%"),
    **dict.fromkeys("、，", ", "),  # a thousands mark only between full-width digits
    **{
        "。": ".",
        "٫": ".",
        "٬": ",",
        "⁄": "/",
        "÷": r"\div ",
        "¬": r"\neg ",
        "→": r"\to ",
        "∖": r"\setminus ",
        "∣": "|",
    },
    **{"∘": r"\circ ", "℃": r"^\circ\text{C}", "℉": r"^\circ\text{F}", "φ": r"\phi ", "ε": r"\epsilon "},
    **{"｛": r"\{", "｝": r"\}", "【": "[", "】": "]", "〔": "[", "〕": "]", "〈": r"\langle ", "〉": r"\rangle "},
    **{"\u2062": r"\cdot ", "\u2063": ",", "\u2064": "+"},  # invisible times, separator and plus
    **{"√": "√", "∛": "∛", "∜": "∜"},  # see _root
}
_MARKED = re.compile("((?:\\d[\u0305\u0304])+)|(\\d)\u0307")  # a bar or a dot over a digit: it repeats
_ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
_FULL_WIDTH_THOUSANDS = re.compile("(?<=[０-９])，(?=[０-９]{3})")
_RADICAND = re.compile(r"-?\d+(?:\.\d+)?|\\[A-Za-z]+|\S")


def to_latex(answer: str) -> str:
    """The answer in ASCII, as far as its characters have a LaTeX name; characters without one stay as they are."""
    if answer.isascii():
        return answer
    answer = _FULL_WIDTH_THOUSANDS.sub("", unicodedata.normalize("NFC", answer))
    answer = _MARKED.sub(lambda m: rf"\overline{{{m[1][::2]}}}" if m[1] else rf"\dot{{{m[2]}}}", answer)
    written = []
    for script, characters in groupby(answer, _script):
        text = "".join(map(_character, characters))
        written.append(f"{script}{{{text}}}" if script else text)
    text = re.sub(r"\^\{(\d+)\}/_\{(\d+)\}", r"\\frac{\1}{\2}", "".join(written))  # ¹⁄₂
    # The last root first, so that inner ones come before outer ones.
    while (place := max(map(text.rfind, _ROOTS))) >= 0:
        text = _root(text, place)
    return text


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    if character in _OURS:
        return ""
    return {"<super>": "^", "<sub>": "_"}.get(unicodedata.decomposition(character).partition(" ")[0], "")


@lru_cache(maxsize=4096)
def _character(character: str) -> str:
    if character.isascii():
        return character
    if character in _OURS:
        return _OURS[character]
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Cf" or unicodedata.name(character, "").startswith("VARIATION SELECTOR"):
        return ""  # zero-width spaces, marks of direction, soft hyphens
    if category in ("Zs", "Zl", "Zp"):
        return " "
    if name := _MATHEMATICAL.fullmatch(_LATEX_NAMES.get(ord(character), "")):
        return name[1] + " " * name[1].startswith("\\")
    plain = unicodedata.normalize("NFKC", character)
    if "⁄" in plain:
        numerator, denominator = plain.split("⁄")
        return rf"\frac{{{numerator}}}{{{denominator}}}" if denominator else f"{numerator}/"
    kind, _, parts = unicodedata.decomposition(character).partition(" ")
    if not kind.startswith("<") or kind == "<circle>" or (category == "Sc" and plain.isalpha()):
        return character
    text = to_latex("".join(chr(int(part, 16)) for part in parts.split()))
    text = rf"\{text}" if text == "$" else text
    return rf"\text{{{text}}}" if kind == "<square>" else text  # ㎝, ㎡


def _root(text: str, place: int) -> str:
    """Give the root sign at `place` its radicand: brackets, a number, a command or one character."""
    before, after = text[:place], text[place + 1 :].lstrip()
    pair = {"(": "()", "{": "{}"}.get(after[:1])
    if pair and (end := closing(after, pair)):
        radicand = after[1 : end - 1]
    elif match := _RADICAND.match(after):
        end = match.end()
        while after[end : end + 1] == "{" and match[0].startswith("\\"):
            end += closing(after[end:], "{}") or len(after)
        radicand = after[:end]
    else:
        return before + _ROOTS[text[place]]
    command = _ROOTS[text[place]]
    if index := re.search(r"(?:^|[^\w)}\]\s])\s*(\^\{(\d)\})$", before):  # ³√8, but not in 2³√8
        before, command = before[: index.start(1)], rf"\sqrt[{index[2]}]"
    return f"{before}{command}{{{radicand}}}{after[end:]}"


def closing(text: str, pair: str) -> int:
    """Where the bracket that `text` begins with is closed, as the number of characters up to there; 0 for never."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == pair[0]) - (character == pair[1])
        if depth == 0:
            return place + 1
    return 0
