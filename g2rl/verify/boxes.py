r"""The final answer of a response: the content of its last complete `\boxed{}`."""

import re

# Longer responses are read from their end only, which bounds the work per response whatever its size. A million
# characters are several times the longest response that a model with a 128k context can write.
MAX_RESPONSE_CHARACTERS = 1_000_000

# `\\.` skips escaped characters, so that the braces of `\{1, 2\}` are not counted. Some models double the backslash.
_TOKEN = re.compile(r"\\+boxed\s*\{|\\.|[{}]", re.DOTALL)


def last_boxed(response: str) -> str | None:
    r"""Content of the last complete `\boxed{...}` of `response`, without surrounding white space.

    Of nested boxes the outermost counts; a box that is all another box contains is unwrapped. A box whose brace never
    closes is no box. Returns None where there is no box or it is empty. Linear in the length of the response.
    """
    response = response[-MAX_RESPONSE_CHARACTERS:]
    if "boxed" not in response:
        return None
    content = None
    open_braces: list[int | None] = []  # where a box's content starts; None for any other brace
    for token in _TOKEN.finditer(response):
        text = token.group()
        if text == "{":
            open_braces.append(None)
        elif text == "}":
            start = open_braces.pop() if open_braces else None
            if start is not None:
                content = response[start : token.start()]
        elif text.endswith("{") and "boxed" in text:
            open_braces.append(token.end())
    if content is None:
        return None
    inner = re.fullmatch(r"\s*\\+boxed\s*\{.*\}\s*", content, re.DOTALL)
    unwrapped = last_boxed(content) if inner else None
    return unwrapped if unwrapped is not None else content.strip() or None
