r"""The final answer of a response: the content of its last complete `\boxed{}`."""

import re

# Longer responses are read from their end only, which bounds the work per response whatever its size. A million
# characters are several times the longest response that a model with a context of 128k tokens can write.
MAX_RESPONSE_CHARACTERS = 1_000_000

# `\\.` skips escaped characters, so that the braces of `\{1, 2\}` are not counted. Some models double the backslash.
_TOKEN = re.compile(r"\\{1,4}boxed\s{0,9}\{|\\.|[{}]", re.DOTALL)


def last_boxed(response: str) -> str | None:
    r"""Content of the last complete `\boxed{...}` of `response`, without surrounding white space.

    Of nested boxes the outermost counts, but a box that holds nothing except another box is unwrapped. A box whose
    brace never closes is no box. Returns None where there is no box or the last one is empty. Takes time linear in the
    length of the response.
    """
    response = response[-MAX_RESPONSE_CHARACTERS:]
    if "boxed" not in response:
        return None
    open_braces: list[tuple[int, int] | None] = []  # of a box, where it and its content start; None for other braces
    box = content = (0, 0)  # the last complete box and its content: start and end
    for token in _TOKEN.finditer(response):
        text = token.group()
        if text == "{":
            open_braces.append(None)
        elif text == "}":
            opened = open_braces.pop() if open_braces else None
            if opened is None:
                continue
            start, end = opened[1], token.start()
            around = response[start : box[0]] + response[box[1] : end]
            only_a_box = start <= box[0] and not around.strip()
            content = content if only_a_box else (start, end)
            box = (opened[0], token.end())
        elif text.endswith("{") and "boxed" in text:
            open_braces.append((token.start(), token.end()))
    return response[slice(*content)].strip() or None
