"""One line for the user of what ended a run; the traceback is in the log."""

import re

from ray.exceptions import RayActorError

from recipe.g2rl.errors.known import KNOWN

POINTS_ELSEWHERE = re.compile(
    r"see (the )?(root cause|log|error|stack ?trace)s? \(?above|terminal groups with no material", re.I
)
# The line of a log that ends a traceback, behind whatever prefixes Ray and vLLM put there.
_IN_LOG = re.compile(r"(?:^|[\s\])])((?:\w+\.)*(\w*(?:Error|Exception))): (\S.*)$", re.MULTILINE)
# vLLM's engine core, which then ends, and its server with it. It logs the error, and its process ends with it.
_OF_ENGINE = re.compile(
    r"\(EngineCore pid=\d+\) (?:ERROR .*?\] )?(?:\w+\.)*(\w*(?:Error|Exception): \S.*)$", re.MULTILINE
)


class ProcessLost(RuntimeError):
    """A process of the run died; the message says which."""


class WrongCluster(RuntimeError):
    """The Ray that a run joined is not what its settings are for: starting it again would change nothing."""


def in_one_line(error: BaseException, log: str = "") -> str:
    """The first line of the innermost cause that says something; of a known one, the sentence with what to do.

    Args:
        log: what the run has printed, for errors that only say that the cause stands above.
    """
    while getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    text = str(error).strip()
    facts = dict(re.findall(r"^\t(\w+): (.*)$", text, re.MULTILINE))
    if isinstance(error, RayActorError) and "class_name" in facts:
        return died(facts["class_name"], facts.get("pid", "?"), facts.get("ip", "?"), "node has died" in text)
    if isinstance(error, ProcessLost) and (engine := _OF_ENGINE.search(log)):
        return f"{text}; vLLM's engine: {_known_sentence(engine[1]) or engine[1]}"
    if isinstance(error, ProcessLost | WrongCluster):
        return text
    if says_nothing(error):
        for _, name, message in _IN_LOG.findall(log):
            if not POINTS_ELSEWHERE.search(message):
                return _known_sentence(message) or f"{name}: {message}"
    return _known_sentence(text) or f"{type(error).__name__}: {_telling_line(text)}"


def says_nothing(error: BaseException) -> bool:
    """Whether the error only says that requests failed or that the cause stands elsewhere."""
    return bool(POINTS_ELSEWHERE.search(str(error)))


def _known_sentence(text: str) -> str | None:
    """The sentence for an error whose cause and remedy are known."""
    for pattern, sentence in KNOWN:
        if found := re.search(pattern, text, re.DOTALL):
            return sentence.format(*(group or "" for group in found.groups()))
    return None


def _telling_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "no message; see the traceback"
    if re.match(r"\d+ validation errors? for ", lines[0]) and len(lines) > 1:  # pydantic's heading
        place, message = lines[0].rpartition(" ")[2], lines[1]
        if not message.startswith("Value error") and len(lines) > 2:  # a field's name stands above
            place, message = f"{place}.{message}", lines[2]
        message = re.sub(r" *\[type=.*", "", message.removeprefix("Value error, "))
        return f"{place}: {message}"
    if name := re.search(r"^\s+full_key: (\S+)$", text, re.MULTILINE):  # OmegaConf's last but one
        return f"{name[1]}: {lines[0]}"
    return lines[0]


def died(class_name: str, pid: object, address: str, with_node: bool) -> str:
    how = "was lost with its node" if with_node else "died (killed, crashed or out of memory)"
    return f"{class_name.rpartition('.')[2]}, process {pid} on {address}, {how}"
