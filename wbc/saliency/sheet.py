"""Contact sheet: a grid of images with captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

GAP = 8
"""Gap between images in pixels."""

LINE = 15
"""Height of a caption line in pixels."""

INK, PAPER = (24, 24, 24), (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Tile:
    """Image on a contact sheet.

    Attributes:
        picture: uint8 (H, W, 3).
        words: caption lines; lines wider than the image are truncated.
    """

    picture: NDArray[np.uint8]
    words: tuple[str, ...] = ()


def contact_sheet(tiles: Sequence[Tile], columns: int = 4, title: str = "") -> NDArray[np.uint8]:
    """Arrange the tiles in rows, all with the size of the largest, uint8 (H, W, 3).

    Args:
        tiles: at least one.
        columns: tiles per row.
        title: heading.

    Raises:
        ValueError: there are no tiles.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one tile")
    font = ImageFont.load_default(11)
    width = max(tile.picture.shape[1] for tile in tiles)
    height = max(tile.picture.shape[0] + 4 + LINE * len(tile.words) for tile in tiles)
    across = min(columns, len(tiles))
    down = -(-len(tiles) // across)
    top = GAP + (LINE + 4 if title else 0)
    sheet = Image.new("RGB", (GAP + across * (width + GAP), top + down * (height + GAP)), PAPER)
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((GAP, GAP), _truncate(pen, title, sheet.width - 2 * GAP, font), INK, font)
    for number, tile in enumerate(tiles):
        x, y = GAP + number % across * (width + GAP), top + number // across * (height + GAP)
        sheet.paste(Image.fromarray(tile.picture), (x, y))
        for line, words in enumerate(tile.words):
            pen.text((x, y + tile.picture.shape[0] + 4 + line * LINE), _truncate(pen, words, width, font), INK, font)
    return np.asarray(sheet, np.uint8)


def _truncate(
    pen: ImageDraw.ImageDraw, words: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    """Truncate text with an ellipsis if it is wider than `width` pixels."""
    if pen.textlength(words, font) <= width:
        return words
    while words and pen.textlength(f"{words}…", font) > width:
        words = words[:-1]
    return f"{words}…"
