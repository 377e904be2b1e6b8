"""The tasks whose problems are made here. Each module has `problems`, `distinct_problems` and `worked_solution`."""

from types import ModuleType

from g2rl.data import arithmetic, arithmetic_tool, programs, room

GENERATED: dict[str, ModuleType] = {
    "arithmetic": arithmetic,
    "arithmetic_tool": arithmetic_tool,
    "programs": programs,
    "room": room,
}
