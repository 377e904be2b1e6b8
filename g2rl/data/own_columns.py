"""A user's own rows in the shapes that people have: which column is the problem, and where the answer stands."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from g2rl.data.reading import Row
from g2rl.verify import same_answer
from g2rl.verify.boxes import last_boxed

PROBLEM = ("problem", "question", "prompt")
ANSWER = ("answer", "final_answer", "ground_truth", "reward_model", "solution")


def parse_columns(text: str) -> dict[str, str]:
    """`problem=Q,answer=A` as a dictionary. ValueError where it is something else."""
    chosen = dict(pair.partition("=")[::2] for pair in text.split(","))
    if not set(chosen) <= {"problem", "answer"} or not all(chosen.values()):
        raise ValueError(f"--columns {text!r} must look like problem=NAME,answer=NAME; either may be left out.")
    return chosen


def recognise(rows: Sequence[Row], where: str, chosen: Mapping[str, str] | None = None) -> list[Row]:
    """The rows with `problem` and `answer`; a line on standard error says where the two came from.

    Without `chosen`, every column of a known name is a candidate, and candidates of one row must agree.

    Raises:
        ValueError: a column is not there, or two candidates disagree; names the row, counted from 0.
    """
    chosen = chosen or {}
    found: list[Row] = []
    sources: dict[str, set[str]] = {"problem": set(), "answer": set()}
    for number, row in enumerate(rows):
        place = f"{where}, row {number}"
        read = {}
        for field, known in (("problem", PROBLEM), ("answer", ANSWER)):
            names = [chosen[field]] if field in chosen else known
            values = {name: _read(row, name, field) for name in names}
            values = {name: (value, source) for name, (value, source) in values.items() if value not in (None, "")}
            if not values:
                looked_for = chosen.get(field) or ", ".join(known)
                raise ValueError(f"{place}: no {field!r} ({looked_for}); it has {', '.join(map(str, row))}.")
            first, *others = values
            for other in others:
                a, b = str(values[first][0]), str(values[other][0])
                if a != b and (field == "problem" or not same_answer(a, b)):
                    raise ValueError(f"{place}: {first} and {other} disagree on the {field}; choose with --columns.")
            read[field], source = values[first]
            sources[field].add(source)
        found.append({**row, **read})
    line = ", ".join(f"{field} from {' or '.join(sorted(names))}" for field, names in sources.items())
    print(f"{where}: {line}", file=sys.stderr)
    return found


def _read(row: Row, name: str, field: str) -> tuple[Any, str]:
    """What a column holds for the field, None where that is nothing or several values; and where exactly it stood."""
    value, source = row.get(name), name
    if isinstance(value, list) and value and isinstance(value[0], dict):  # messages: the user's last one
        value = next((m.get("content") for m in reversed(value) if m.get("role") == "user"), None)
    if isinstance(value, dict):
        value, source = value.get("ground_truth"), f"{name}.ground_truth"
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    if field == "answer" and isinstance(value, str):
        if "####" in value:
            return value.rpartition("####")[2].strip().replace(",", ""), f"{source} after ####"
        if name == "solution" or "\\boxed" in value:
            return last_boxed(value), f"{source}'s box"
    return value, source
