"""Tables as text, Markdown and HTML, and documents that embed them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from wbc.errors import DataError

T = TypeVar("T")

TEMPLATES = Path(__file__).parent / "templates"


class Table:
    """A table of strings.

    Args:
        columns: names of the columns.
        rows: cells, as many per row as there are columns; shown by `str`.
        caption: shown above the table; empty for none.

    Example:
        >>> print(Table(("class", "n"), [("Monocyte", 3)]).markdown())
        | class | n |
        | --- | --- |
        | Monocyte | 3 |
    """

    def __init__(self, columns: Iterable[object], rows: Iterable[Iterable[object]], caption: str = "") -> None:
        self.columns = [str(name) for name in columns]
        self.rows = [[str(cell) for cell in row] for row in rows]
        self.caption = caption

    @classmethod
    def of(cls, items: Iterable[T], columns: Mapping[str, Callable[[T], object]], caption: str = "") -> Table:
        """Return a table with one row per item; each column computes its cell from the item."""
        return cls(columns, [[cell(item) for cell in columns.values()] for item in items], caption)

    def markdown(self) -> str:
        """Return the table in Markdown, below its caption."""
        lines = ["| " + " | ".join(row) + " |" for row in (self.columns, ["---"] * len(self.columns), *self.rows)]
        return "\n".join([*([self.caption, ""] if self.caption else []), *lines])

    def text(self) -> str:
        """Return the table in aligned columns, below its caption."""
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in lines
        ]
        return "\n".join([*([self.caption] if self.caption else []), *shown])

    def html(self) -> str:
        """Return the table in HTML, marked as safe for a template."""
        from markupsafe import Markup

        return Markup(render(TEMPLATES / "table.html", table=self))


def render(template: Path, **values: object) -> str:
    """Render a Jinja template; values are escaped where its name ends with `.html`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(**values)


def update_document(document: Path) -> None:
    """Update the cog blocks of a document.

    Raises:
        DataError: the document does not exist or has an invalid block.
    """
    from cogapp import Cog
    from cogapp.cogapp import CogError

    try:
        Cog().callable_main(["cog", "-r", "-U", "--verbosity=0", str(document)])
    except (CogError, OSError) as error:
        raise DataError(f"{document} could not be updated: {error}") from error
