"""One line for the user of what ended a run; the traceback is in the log."""

import re

from ray.exceptions import RayActorError


class ProcessLost(RuntimeError):
    """A process of the run died; the message says which."""


class WrongCluster(RuntimeError):
    """The Ray that a run joined is not what its settings are for: starting it again would change nothing."""


def in_one_line(error: BaseException) -> str:
    """The exception at the bottom, or which process of the run died where."""
    while getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    text = str(error).strip()
    facts = dict(re.findall(r"^\t(\w+): (.*)$", text, re.MULTILINE))
    if isinstance(error, RayActorError) and "class_name" in facts:
        return died(facts["class_name"], facts.get("pid", "?"), facts.get("ip", "?"), "node has died" in text)
    if isinstance(error, ProcessLost | WrongCluster):
        return text
    return f"{type(error).__name__}: {text.splitlines()[-1] if text else ''}"


def died(class_name: str, pid: object, address: str, with_node: bool) -> str:
    how = "was lost with its node" if with_node else "died (killed, crashed or out of memory)"
    return f"{class_name.rpartition('.')[2]}, process {pid} on {address}, {how}"
