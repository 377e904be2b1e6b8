"""Tables in Markdown that are also readable where they are printed."""

from collections.abc import Sequence

Rows = list[list[str]]
"""Cells of a table; the first row is its head."""


def markdown_table(rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """The first `text_columns` to the left, the others to the right, all as wide as their widest cell."""
    rule = ["---" if column < text_columns else "---:" for column in range(len(rows[0]))]
    lines = [rows[0], rule, *rows[1:]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligns = ["<" if column < text_columns else ">" for column in range(len(widths))]
    return "\n".join(
        f"| {' | '.join(f'{c:{a}{w}}' for c, a, w in zip(line, aligns, widths, strict=True))} |" for line in lines
    )
