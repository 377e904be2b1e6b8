"""From the rows of a source to records: every row is checked, options get letters, cut-off answers are left out."""

import json
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from g2rl.data.reading import Row


@dataclass(frozen=True)
class Record:
    """A problem as the project's own rows need it.

    question: the whole text, with the lettered options of a multiple-choice question.
    answer:   the gold answer, the letter of the right option, or the tests of a program as JSON text.
    extra:    what goes into `extra_info` beside index and split: subject, level, id, num_choices.
    """

    question: str
    answer: str
    extra: dict[str, Any]


def to_record(row: Row, where: str, shuffle_seed: str | None = None) -> Record:
    """The record of a row with `problem` and `answer` and perhaps `choices`, `subject` or `category`, `level`, `id`.

    With choices, the row's answer is the letter of the right one; a shuffle seed puts them in another order.

    Raises:
        ValueError: a column is missing or holds nothing usable; begins with `where`.
    """
    problem, answer = _text(row, "problem", where), _text(row, "answer", where)
    extra = {"subject": row.get("subject") or row.get("category"), "id": row.get("id"), "level": _level(row)}
    extra = {key: value if key == "level" else str(value) for key, value in extra.items() if value is not None}
    choices = row.get("choices")
    if choices is None or choices == "":
        return Record(problem, answer, extra)
    try:
        options = json.loads(choices) if isinstance(choices, str) else choices
    except ValueError:
        options = None
    if not isinstance(options, list):
        raise ValueError(f"{where}: 'choices' is {choices!r}, not a list (as text: a JSON list).")
    if not options or len(options) > len(ascii_uppercase) or not all(str(option).strip() for option in options):
        raise ValueError(f"{where}: 'choices' must hold 1 to 26 options, none of them empty.")
    letters = ascii_uppercase[: len(options)]
    if len(answer) != 1 or answer not in letters:
        raise ValueError(f"{where}: 'answer' is {answer!r}, with {len(options)} choices it must be one of {letters}.")
    order = list(range(len(options)))
    if shuffle_seed is not None:
        random.Random(shuffle_seed).shuffle(order)
    lines = [f"{letter}. {str(options[place]).strip()}" for letter, place in zip(letters, order, strict=True)]
    right = letters[order.index(letters.index(answer))]
    return Record("\n".join([problem, "", *lines]), right, {**extra, "num_choices": len(options)})


def _text(row: Row, column: str, where: str) -> str:
    value = row.get(column)
    unusable = isinstance(value, bool) or not isinstance(value, str | int | float) or value != value  # NaN
    if unusable or not str(value).strip():
        have = f"; it has {', '.join(map(str, row))}" if column not in row else f": it is {value!r}"
        raise ValueError(f"{where}: no {column!r}{have}.")
    return str(value).strip()


def _level(row: Row) -> int | None:
    found = re.search(r"\d+", str(row.get("level") or ""))  # 5 and "Level 5"; MATH has two of "Level ?"
    return int(found.group()) if found else None


# A question whose options stand in its text already ends with lines "A. …", "B. …".
_LETTERED = re.compile(r"^([A-Z])\. ", re.MULTILINE)


def lettered_options(question: str) -> int:
    """How many options, A and on without a gap, stand at the end of the question's text."""
    found = _LETTERED.findall(question)
    start = len(found) - 1 - found[::-1].index("A") if "A" in found else len(found)
    run = found[start:]
    return len(run) if run == list(ascii_uppercase[: len(run)]) else 0


def with_num_choices(record: Record, where: str) -> Record:
    """The record of a multiple-choice question whose row has no `choices`, since its text holds the options.

    Raises:
        ValueError: the text does not end with options, or the answer is none of them; begins with `where`.
    """
    options = lettered_options(record.question)
    if not options or record.answer not in ascii_uppercase[:options]:
        raise ValueError(
            f"{where}: no 'choices', and the text does not end with lettered options "
            f"of which the answer {record.answer!r} is one."
        )
    return Record(record.question, record.answer, {**record.extra, "num_choices": options})


_ESCAPED = re.compile(r"\\.", re.DOTALL)


def is_cut_off(answer: str) -> bool:
    r"""Whether a brace of the answer is never closed, as in `\frac{2\sqrt{35`; escaped braces are text."""
    text = _ESCAPED.sub("", answer)
    return text.count("{") > text.count("}")


def whole_answers(records: Sequence[Record], name: str) -> list[Record]:
    """The records whose answers are whole; a line on standard error says which others the source `name` had.

    No response can match a cut-off answer, so its problem would only ever be punished.

    Raises:
        ValueError: every answer is cut off.
    """
    cut_off = [place for place, record in enumerate(records) if is_cut_off(record.answer)]
    if not cut_off:
        return list(records)
    if len(cut_off) == len(records):
        raise ValueError(f"the answers of all {len(records)} problems are cut off (a brace is never closed).")
    print(
        f"{name}: {len(cut_off)} of {len(records)} problems left out, since their answers are cut off (a brace is "
        f"never closed): numbers {', '.join(map(str, cut_off))}, counted from 0",
        file=sys.stderr,
    )
    return [record for record in records if not is_cut_off(record.answer)]
