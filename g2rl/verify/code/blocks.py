"""Where the program stands in a response."""

import re

_FENCE = re.compile(r"(`{3,})\s*([^\s`]*)[^`]*")
_PYTHON = ("python", "py", "python3")


def last_program(response: str) -> str | None:
    """The last fenced block tagged python, py or python3; where there is none, the last one without a tag.

    Only what follows the last `</think>` counts. A fence starts at the beginning of a line, and a block that never
    closes is none. A tagged fence inside an open block opens a new one: the fence before it was never closed.
    """
    found: dict[bool, str] = {}  # is it tagged python? -> the last such block
    opened, tag = "", ""
    lines: list[str] = []
    for line in response.rpartition("</think>")[2].split("\n"):
        fence = _FENCE.fullmatch(line)
        if opened and fence and not fence[2] and len(fence[1]) >= len(opened):
            if tag in ("", *_PYTHON):
                found[tag in _PYTHON] = "\n".join(lines)
            opened = ""
        elif fence and (not opened or fence[2]):
            opened, tag, lines = fence[1], fence[2].lower(), []
        elif opened:
            lines.append(line)
    return found.get(True, found.get(False))
