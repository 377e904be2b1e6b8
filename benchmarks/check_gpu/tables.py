"""From the JSON of check_gpu to the tables of a page, between two marks; what stands between them is replaced."""

import json
from pathlib import Path

from g2rl.utils.files import atomic_file
from g2rl.utils.markdown import markdown_table

BEGIN, END = "<!-- made by scripts/check_gpu.sh -->", "<!-- end -->"


def write_tables(results: Path, page: Path) -> None:
    """
    Raises:
        ValueError: the page has no two marks.
    """
    before, found, rest = page.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{page} has no place for the tables; write {BEGIN} and {END} where they belong.")
    with atomic_file(page) as path:
        path.write_text(f"{before}{BEGIN}\n\n{tables(json.loads(results.read_text()))}\n\n{END}{after}")


def tables(results: list[dict]) -> str:
    overview = [["part", "result", "seconds"], *([r["part"], r["outcome"], str(r["seconds"])] for r in results)]
    texts = [markdown_table(overview)]
    for result in results:
        if rows := result["rows"]:
            columns = [column for column in rows[0] if column != "machine"]
            body = [[row[column] for column in columns] for row in rows]
            texts.append(f"{result['part']}, on {rows[0]['machine']}:\n\n{markdown_table([columns, *body])}")
    return "\n\n".join(text.strip() for text in texts)
