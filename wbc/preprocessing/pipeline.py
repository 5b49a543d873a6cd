"""One callable from a decoded picture to what the network sees, built from a bundle's manifest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from wbc.preprocessing.background import WHITE, white_balance
from wbc.preprocessing.crop import window
from wbc.preprocessing.enhance import Variant, enhance
from wbc.preprocessing.foreground import Foreground, find_foreground
from wbc.preprocessing.framing import Framing, frame, window_of
from wbc.preprocessing.ruler import red_cell_diameter
from wbc.preprocessing.stain import MacenkoReference, ReinhardReference, reinhard

DISPLAY = 224
"""Least side, in pixels, of the window that a person is shown."""


class Preprocessing(BaseModel):
    """All that decides what the network sees; written by training, kept in the bundle.

    Attributes:
        variant: the enhancement filter.
        size: side of the network's input, pixels.
        white_balance: whether the picture is divided by its background first.
        framing: how the cell is framed.
        color_normalization: `reinhard` moves each image to `reinhard` before the filter.
        reinhard: statistics of the training split; also the yardstick for how far an image's stain lies from it.
        macenko: the reference that variant v4 needs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: Variant = "none"
    size: int = Field(224, ge=32, le=1024)
    white_balance: bool = False
    framing: Framing = Framing()
    color_normalization: Literal["none", "reinhard"] = "none"
    reinhard: ReinhardReference | None = None
    macenko: MacenkoReference | None = None

    @model_validator(mode="after")
    def _references_are_there(self) -> Preprocessing:
        if self.color_normalization == "reinhard" and self.reinhard is None:
            raise ValueError("color_normalization=reinhard needs a fitted Reinhard reference")
        if self.variant == "v4" and self.macenko is None:
            raise ValueError("variant=v4 needs a fitted Macenko reference")
        return self

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the configuration, hexadecimal: the key of anything computed with it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Prepared:
    """One image on its way into the network.

    Attributes:
        display: uint8 (D, D, 3), the framed picture before colour is touched, at least `DISPLAY` pixels wide where the
            framing is `window`: what a person is shown.
        model_input: uint8 (S, S, 3), what the network sees.
        foreground: the found cell, in pixels of the frame.
        cell_diameter: of the found cell, in pixels of the picture; 0 where none was found.
        nucleus_diameter: of its nucleus, likewise.
        red_cell_diameter: median of the red cells around it, likewise; 0 where none was measured.
    """

    display: NDArray[np.uint8]
    model_input: NDArray[np.uint8]
    foreground: Foreground
    cell_diameter: float = 0.0
    nucleus_diameter: float = 0.0
    red_cell_diameter: float = 0.0

    @property
    def diameter_in_red_cells(self) -> float:
        """Diameter of the cell in diameters of the red cells around it; NaN where one of them is not known."""
        known = self.red_cell_diameter > 0 and self.cell_diameter > 0 and not self.foreground.touches_border
        return self.cell_diameter / self.red_cell_diameter if known else float("nan")


class Preprocessor:
    """Applies a `Preprocessing` to RGB pictures of any size; deterministic.

    Args:
        spec: the configuration.
        ruler: measure the red cells too.
    """

    def __init__(self, spec: Preprocessing, *, ruler: bool = False) -> None:
        self.spec, self.ruler = spec, ruler

    def __call__(self, rgb: NDArray[np.uint8]) -> Prepared:
        """Prepare one picture, uint8 (H, W, 3)."""
        balanced = self.balance(rgb)
        found = find_foreground(balanced)
        size, window_mode = self.spec.size, self.spec.framing.mode == "window"
        display, moved = self.frame(rgb, found, max(size, DISPLAY) if window_mode else size)
        same = len(display) == size and not self.spec.white_balance
        framed = display if same else self.frame(balanced, found)[0]
        red_cells = red_cell_diameter(balanced, found) if self.ruler else 0.0
        return Prepared(display, self.normalise(framed), moved, found.cell_diameter, found.nucleus_diameter, red_cells)

    def at_input_size(self, rgb: NDArray[np.uint8]) -> Prepared:
        """Prepare one picture with all parts in the network's pixels, (S, S); `display` has the balanced colours.

        `normalise(display)` is the network's input, so a changed display can be classified.
        """
        balanced = self.balance(rgb)
        found = find_foreground(balanced)
        framed, moved = self.frame(balanced, found)
        return Prepared(framed, self.normalise(framed), moved, found.cell_diameter, found.nucleus_diameter)

    def balance(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture as the finder and the network see its colours, uint8 (H, W, 3)."""
        return white_balance(rgb) if self.spec.white_balance else rgb

    def frame(
        self, rgb: NDArray[np.uint8], found: Foreground | None = None, size: int | None = None
    ) -> tuple[NDArray[np.uint8], Foreground]:
        """The framed picture, uint8 (size, size, 3), and the cell in it; the size is the network's if not given."""
        found, size = find_foreground(rgb) if found is None else found, size or self.spec.size
        framed, to_frame = self.cut(rgb, found, size)
        return framed, _moved(found, to_frame, size)

    def cut(
        self, rgb: NDArray[np.uint8], found: Foreground, size: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The framed picture, uint8 (size, size, 3), and the affine map (2, 3) from picture to frame pixels."""
        if self.spec.framing.mode == "window":
            outside = WHITE if self.spec.white_balance else None
            return window(rgb, *window_of(self.spec.framing, found), size, outside=outside)
        return frame(rgb, size, self.spec.framing, found)

    def surroundings(self, rgb: NDArray[np.uint8], zoom: float, size: int) -> NDArray[np.uint8]:
        """A window `zoom` times as wide, on balanced colours, uint8 (size, size, 3): what augmentation starts from."""
        balanced = self.balance(rgb)
        centre, side = window_of(self.spec.framing, find_foreground(balanced))
        return window(balanced, centre, zoom * side, size, outside=WHITE if self.spec.white_balance else None)[0]

    def normalise(self, framed: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Colour normalisation and filter on a framed picture, uint8 (S, S, 3)."""
        if self.spec.color_normalization == "reinhard" and self.spec.reinhard is not None:
            framed = reinhard(framed, self.spec.reinhard)
        return enhance(framed, self.spec.variant, self.spec.macenko)


def _moved(found: Foreground, to_window: NDArray[np.float64], size: int) -> Foreground:
    """The foreground's masks, carried from the picture into the window."""
    if not found.valid:
        empty = np.zeros((size, size), np.bool_)
        return Foreground(empty, empty, False, found.reason, candidates=found.candidates)
    nucleus, cell = (
        cv2.warpAffine(mask.astype(np.uint8), to_window, (size, size), flags=cv2.INTER_NEAREST).astype(np.bool_)
        for mask in (found.nucleus, found.cell)
    )
    return Foreground(nucleus, cell, True, "", found.touches_border, found.candidates)


def probe(preprocessor: Preprocessor) -> tuple[int, ...]:
    """Prepare a drawn cell and return the mean colours of a 4x4 grid: 48 levels, 0 to 255.

    Export writes them into the bundle and loading compares: code that prepares images otherwise than the
    model was trained with is found out before it answers anybody. The cell is small and granular, so that framing's
    strength and canonical size, each variant and each colour normalisation show; a bound of the zoom that this cell
    does not reach cannot.
    """
    rows, columns = np.mgrid[0:192, 0:192].astype(np.float32)
    picture = np.full((192, 192, 3), (246, 224, 206), np.float32)
    for x, y, radius, colour in ((40, 50, 24, (214, 160, 160)), (150, 140, 26, (208, 150, 152))):
        picture[np.hypot(columns - x, rows - y) < radius] = colour
    cell = np.hypot(columns - 92, rows - 100) < 24
    picture[cell] = (196, 178, 214)
    picture[np.hypot(columns - 86, rows - 98) < 14] = (92, 56, 140)
    picture += 6.0 * np.sin(columns / 3.0)[..., None] * np.cos(rows / 4.0)[..., None]
    picture[cell & (columns % 6 < 2) & (rows % 6 < 2)] -= 90.0
    seen = preprocessor(np.clip(picture, 0, 255).astype(np.uint8)).model_input
    return tuple(int(v) for v in cv2.resize(seen, (4, 4), interpolation=cv2.INTER_AREA).ravel())
