"""From the rows of a source to verl's rows: every row checked, options lettered, repetitions and overlaps counted."""

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pyarrow.parquet as pq

from g2rl.data.columns import recognise
from g2rl.data.reading import read_file, read_hub
from g2rl.data.rows import make_row, write_rows
from g2rl.data.sets import SETS, ProblemSet, Row
from g2rl.verify.data_sources import DEFAULT_VERIFIERS


@dataclass(frozen=True)
class Record:
    """A problem as the project's rows need it; `question` holds the options of a multiple-choice question."""

    question: str
    answer: str
    extra: dict[str, Any]


def to_record(row: Row, where: str, shuffle_seed: str | None = None) -> Record:
    """Reads problem, answer and what else is there (choices, subject or category, level, id) of one plain row.

    With choices, `answer` is the letter of the right one; a shuffle seed puts them in another order.

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


def read_set(
    name: str, source: Path | None, seed: int, columns: Mapping[str, str] | None = None
) -> dict[str, list[Record]]:
    """The problems of a set of the table, by what they are for: train or test.

    A local file holds one split; which one shows in the number of its problems. It has the hub's columns, or those of
    a user's own file (`columns`).

    Raises:
        ValueError: a row or the number of problems is not as it should be, or the source cannot be read.
    """
    chosen = SETS[name]
    if source is not None:
        return _only_split(name, chosen, source, _convert(chosen, read_file(source), str(source), seed, columns))
    found = {}
    for split, (hub_split, count) in chosen.splits.items():
        rows = read_hub(chosen.repository, chosen.revision, chosen.config, hub_split)
        found[split] = _convert(chosen, rows, f"{chosen.repository} ({hub_split})", seed)
        if len(found[split]) != count:
            raise ValueError(f"{chosen.repository} ({hub_split}) has {len(found[split])} problems, not {count}.")
    return found


def _with_answers(chosen: ProblemSet, rows: list[Row], where: str, columns: Mapping[str, str] | None) -> Sequence[Row]:
    """The rows with `problem` and `answer`: from the hub's columns, else from those of a user's own file."""
    if columns is None:
        try:
            found = [row if {"problem", "answer"} <= row.keys() else chosen.convert(row) for row in rows]
            if all({"problem", "answer"} <= row.keys() for row in found):
                return found
        except (KeyError, IndexError, TypeError):
            pass
    found, line = recognise(rows, where, columns)
    print(f"{where}: {line}", file=sys.stderr)
    return found


def _convert(
    chosen: ProblemSet, rows: list[Row], where: str, seed: int, columns: Mapping[str, str] | None = None
) -> list[Record]:
    records, seen = [], set()
    for number, row in enumerate(_with_answers(chosen, rows, where, columns)):
        place = f"{where}, row {number}"
        if chosen.repeated and "id" in row:
            if row["id"] in seen:
                continue
            seen.add(row["id"])
        record = to_record(row, place, f"{seed}-{number}" if chosen.shuffle_choices else None)
        if DEFAULT_VERIFIERS[chosen.data_source] == "choice" and "num_choices" not in record.extra:
            record = _count_options(record, place)
        records.append(record)
    return records


def _count_options(record: Record, where: str) -> Record:
    options = lettered_options(record.question)
    if not options or record.answer not in ascii_uppercase[:options]:
        raise ValueError(
            f"{where}: no 'choices', and the text does not end with lettered options "
            f"of which the answer {record.answer!r} is one."
        )
    return Record(record.question, record.answer, {**record.extra, "num_choices": options})


def _only_split(name: str, chosen: ProblemSet, source: Path, records: list[Record]) -> dict[str, list[Record]]:
    for split, (_, count) in chosen.splits.items():
        if len(records) == count:
            return {split: records}
    counts = " or ".join(f"{count} ({split})" for split, (_, count) in chosen.splits.items())
    raise ValueError(
        f"{source} has {len(records)} problems, {name} has {counts}; for a set of your own use `jsonl --source`."
    )


_ESCAPED = re.compile(r"\\.", re.DOTALL)


def is_cut_off(answer: str) -> bool:
    r"""Whether a brace of the answer is never closed, as in `\frac{2\sqrt{35`; escaped braces are text."""
    text = _ESCAPED.sub("", answer)
    return text.count("{") > text.count("}")


def whole_answers(records: Sequence[Record]) -> tuple[list[Record], str]:
    """The records whose answers are whole, and a line that says which others there were ("" for none).

    A cut-off answer can be matched by no response, so its problem would only ever be punished.

    Raises:
        ValueError: every answer is cut off.
    """
    cut_off = [place for place, record in enumerate(records) if is_cut_off(record.answer)]
    if not cut_off:
        return list(records), ""
    if len(cut_off) == len(records):
        raise ValueError(f"the answers of all {len(records)} problems are cut off (a brace is never closed).")
    kept = [record for record in records if not is_cut_off(record.answer)]
    return kept, (
        f"{len(cut_off)} of {len(records)} problems left out, since their answers are cut off (a brace is never "
        f"closed): numbers {', '.join(map(str, cut_off))}, counted from 0"
    )


def hold_out(records: Sequence[Record], val_size: int | None, seed: int) -> tuple[list[Record], list[Record]]:
    """(training, validation): `val_size` rows drawn by seed, by default 128 but at most a tenth.

    A problem of the validation rows that occurs again is left out of the training rows.

    Raises:
        ValueError: nothing is left for one of the two.
    """
    size = min(128, len(records) // 10) if val_size is None else val_size
    if val_size is None and size == 0:
        raise ValueError(
            f"{len(records)} problems are too few: a tenth is held out for validation, so bring at least 10"
            f"{' (or say how many to hold out with --val-size)' if records else ''}."
        )
    if not 0 < size < len(records):
        raise ValueError(
            f"--val-size {size} of {len(records)} rows leaves nothing to {'validate' if size <= 0 else 'train'} on."
        )
    order = list(range(len(records)))
    random.Random(seed).shuffle(order)
    validation = [records[place] for place in order[-size:]]
    held = {normalised(record.question) for record in validation}
    training = [records[place] for place in sorted(order[:-size])]
    training = [record for record in training if normalised(record.question) not in held]
    if not training:
        raise ValueError(f"every one of the {len(records)} rows is a problem of the validation rows.")
    return training, validation


def verl_rows(
    records: Iterable[Record], *, data_source: str, split: str, system_prompt: str, ability: str = "math"
) -> list[dict[str, Any]]:
    """The rows that verl's dataset reads; their index is the record's place."""
    return [
        make_row(
            data_source,
            record.question,
            record.answer,
            index=index,
            split=split,
            system_prompt=system_prompt,
            ability=ability,
            **record.extra,
        )
        for index, record in enumerate(records)
    ]


def write_records(records: Iterable[Record], path: Path, **settings: str) -> Path:
    """Their rows, of which `settings` are those of `verl_rows`, as a parquet file."""
    return write_rows(verl_rows(records, **settings), path)


_NOTHING = re.compile(r"\s+|\$|\\[,;:!]|\\(?:left|right)(?![a-z])")


def normalised(question: str) -> str:
    """The text without what two copies of one problem differ in: white space, case, dollar signs, LaTeX spacing."""
    return _NOTHING.sub("", question).casefold()


def repetitions(records: Sequence[Record]) -> str:
    """How many problems occur more than once, and whether their answers agree."""
    answers: dict[str, set[str]] = {}
    for record in records:
        answers.setdefault(normalised(record.question), set()).add(record.answer)
    again = len(records) - len(answers)
    differing = sum(len(found) > 1 for found in answers.values())
    written_otherwise = f", {differing} of these with more than one spelling of the answer" if differing else ""
    return f"{again} repeat an earlier one{written_otherwise}"


def overlaps(path: Path) -> list[str]:
    """One line for each file of the same folder on the other side (training or evaluation) that shares problems."""
    questions, training = _questions(path)
    lines = []
    for other in sorted(path.parent.glob("*.parquet")):
        if other == path:
            continue
        others, other_training = _questions(other)
        shared = sum((questions & others).values())
        if training != other_training and shared:
            lines.append(f"{shared} of its problems are also in {other}")
    return lines


def _questions(path: Path) -> tuple[Counter[str], bool]:
    rows = pq.read_table(path, columns=["prompt", "extra_info"]).to_pylist()
    questions = Counter({normalised(row["prompt"][-1]["content"]): 1 for row in rows})
    return questions, bool(rows) and rows[0]["extra_info"]["split"] == "train"
