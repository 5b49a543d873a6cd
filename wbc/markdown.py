"""Tables in Markdown documents, written by the commands that measure what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from wbc.errors import DataError


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    titles = list(head)
    lines: list[Iterable[object]] = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def with_tables(text: str, made: Mapping[str, str]) -> str:
    """A document with every part between `<!-- table: NAME -->` and `<!-- end -->` renewed.

    Args:
        text: the document.
        made: the new parts by name.

    Raises:
        DataError: a part has no marks, or marks name no part.
    """
    marks = re.findall(r"<!-- table: (.+?) -->", text)
    if sorted(marks) != sorted(made):
        raise DataError(f"the document marks {', '.join(marks) or 'no table'}; expected {', '.join(made)}")
    for name, part in made.items():
        start, end = f"<!-- table: {name} -->\n", "<!-- end -->"
        before, rest = text.split(start, 1)
        text = f"{before}{start}\n{part}\n\n{end}{rest.split(end, 1)[1]}"
    return text
