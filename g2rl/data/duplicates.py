"""Problems that occur more than once: within a file, in training and validation, in the files of one folder."""

import random
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from g2rl.data.records import Record
from g2rl.data.rows import SCHEMA

_IGNORED = re.compile(r"\s+|\$|\\[,;:!]|\\(?:left|right)(?![a-z])")


def normalised(question: str) -> str:
    """The text without what two copies of one problem differ in: white space, case, dollar signs, LaTeX spacing."""
    return _IGNORED.sub("", question).casefold()


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
    """One line for each file of the same folder on the other side (training or evaluation) that shares problems.

    Parquet files that `rows.py` did not write may lie there too.
    """
    questions, training = _questions(path)
    lines = []
    for other in sorted(path.parent.glob("*.parquet")):
        if other == path or not pq.read_schema(other).equals(SCHEMA):
            continue
        others, other_training = _questions(other)
        shared = len(questions & others)
        if training != other_training and shared:
            lines.append(f"{shared} of its problems are also in {other}")
    return lines


def _questions(path: Path) -> tuple[set[str], bool]:
    """The questions of verl's rows, and whether they are for training."""
    rows = pq.read_table(path, columns=["prompt", "extra_info"]).to_pylist()
    questions = {normalised(row["prompt"][-1]["content"]) for row in rows}
    return questions, bool(rows) and rows[0]["extra_info"]["split"] == "train"
