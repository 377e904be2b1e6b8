"""The tasks whose problems are made here. Each module has `problems`, an endless stream, and `worked_solution`."""

from types import ModuleType
from typing import Any

from g2rl.data import arithmetic, arithmetic_tool, programs, room
from g2rl.data.streams import first_distinct

GENERATED: dict[str, ModuleType] = {
    "arithmetic": arithmetic,
    "arithmetic_tool": arithmetic_tool,
    "programs": programs,
    "room": room,
}


def distinct_problems(task: str, split: str, count: int, seed: int) -> list[Any]:
    """The first `count` different problems of the task's stream. ValueError: there are not as many."""
    return first_distinct(GENERATED[task].problems(split, seed), count, task, split)
