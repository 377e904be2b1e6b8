"""Multiple choice: the letter of the chosen option."""

import re
from string import ascii_uppercase

from g2rl.verify.boxes import last_boxed
from g2rl.verify.verdict import Verdict

_STYLE = re.compile(r"\\(?:text|math|bold)?(?:text|math|bf|it|rm|sf|tt|normal|symbol|bb|cal)+\s*(?=\{)")
_NOISE = re.compile(r"[{}$*`]|\\[,;:! ]|~")
_LEAD = re.compile(r"^(?:the\s+)?(?:correct\s+|final\s+)?(?:answer|option|choice)?(?:\s+is)?\s*:?\s*", re.IGNORECASE)
_MARKED = re.compile(r"[(\[]\s*([A-Za-z])\s*[)\]]")
_OPTION = re.compile(rf"(?<!\w){_MARKED.pattern}")  # not the brackets of f(x)
MOST_OPTIONS = 10  # where nobody says how many a question has; MMLU-Pro's have up to 10
_PLAIN = re.compile(r"([A-Za-z])(?:\s*$|\s*[.:)](?:\s|$)|\s+[-–—]\s)")


def choice_letter(box: str, num_choices: int) -> str | None:
    r"""The option that the content of a box names, as a capital letter, or None.

    Understood: `C`, `c`, `\text{C}`, `\mathbf{(C)}`, `(C)`, `[C]`, `C.`, `C)`, `C: text`, `(C) text`, `C - text`,
    `option C`. Not an option: a word that starts with a letter (`Carbon`, `A cat`), a letter past the last option,
    two different options.
    """
    text = _NOISE.sub(" ", _STYLE.sub("", box)).strip()
    marked = {letter.upper() for letter in _OPTION.findall(text)}
    text = _LEAD.sub("", text)
    match = _MARKED.match(text) or _PLAIN.match(text)
    letter = match.group(1).upper() if match else None
    return letter if letter is not None and letter in ascii_uppercase[:num_choices] and marked <= {letter} else None


def verify_choice(response: str, gold: str, num_choices: int | None = None) -> Verdict:
    r"""Judge a multiple-choice response: the option letter in its last complete `\boxed{}` against the gold letter.

    response: the model's whole response. gold: the letter of the right option, "A" for the first.
    num_choices: how many options the question has, 1 to 26; None where that is not known.
    The verdict's answer is the capital letter, or None where the box names no option (see `choice_letter`).
    """
    box = last_boxed(response)
    answer = None if box is None else choice_letter(box, num_choices or MOST_OPTIONS)
    return Verdict(answer is not None and answer == gold.strip().upper(), answer)
