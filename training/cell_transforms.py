"""Random changes that know where the cell is: a crop to it, another background around it, a shift of the stain.

RGB uint8 (H, W, 3) in and out, the same shape. Where no cell was found there is nothing to crop to and no background to
tell from it: the picture comes back as it is.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.transforms import Rgb
from wbc.preprocessing.foreground import Foreground

CROP_MARGIN = (0.10, 0.50)
"""Free space around the cell's box after a crop, share of the box's longer side, drawn for each picture."""

LAB_OFFSET = (4.0, 6.0, 6.0)
"""Largest shift of L (of 100), a and b: about a third of the spread between batches of one laboratory's stain."""

LAB_GAIN = 0.1
"""Largest relative change of the contrast of L, a and b about their mean."""


def crop_to_cell(rgb: Rgb, rng: np.random.Generator, found: Foreground) -> Rgb:
    """Cut a square around the cell, with a random margin, and enlarge it to the picture's size."""
    if not found.valid:
        return rgb
    height, width = rgb.shape[:2]
    rows, columns = np.flatnonzero(found.cell.any(axis=1)), np.flatnonzero(found.cell.any(axis=0))
    box = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    margin = rng.uniform(*CROP_MARGIN)
    off_centre = rng.uniform(-0.5, 0.5, 2) * margin * box
    side = min(round(box * (1 + 2 * margin)), height, width)
    left = _start((columns[0] + columns[-1]) / 2 + off_centre[0], side, width)
    top = _start((rows[0] + rows[-1]) / 2 + off_centre[1], side, height)
    crop = rgb[top : top + side, left : left + side]
    return np.asarray(cv2.resize(crop, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def randomise_background(rgb: Rgb, rng: np.random.Generator, found: Foreground, strength: float) -> Rgb:
    """Mix what is not cell with a smooth random colour field; the seam is feathered.

    Args:
        rgb: the picture.
        rng: the source of randomness.
        found: its cell.
        strength: share of the field in the mix; 1 leaves nothing of the old background.
    """
    if not found.valid or strength == 0:
        return rgb
    height, width = rgb.shape[:2]
    colour = rng.uniform(150, 255, 3)  # bright, as light that met hardly any stain is
    blobs = colour + rng.normal(0, 18, (4, 4, 3))  # the size of the erythrocytes that are painted over
    field = cv2.resize(blobs.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    field += rng.normal(0, 3, rgb.shape).astype(np.float32)
    outside = cv2.GaussianBlur((~found.cell).astype(np.float32), (0, 0), 0.01 * max(height, width))
    share = np.float32(strength) * outside * ~found.cell  # the cell itself is not touched
    mixed = rgb + share[..., None] * (field - rgb)
    return np.asarray(np.clip(np.rint(mixed), 0, 255), np.uint8)


def lab_jitter(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Shift and stretch L, a and b: another batch of stain on the same device."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    offset = rng.uniform(-1, 1, 3) * LAB_OFFSET
    gain = 1 + rng.uniform(-LAB_GAIN, LAB_GAIN, 3)
    mean = lab.mean(axis=(0, 1))
    moved = ((lab - mean) * gain + mean + offset).astype(np.float32)
    return np.asarray(np.clip(np.rint(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB) * 255.0), 0, 255), np.uint8)


def _start(centre: float, side: int, length: int) -> int:
    """First pixel of a stretch of `side` about `centre` that stays inside the picture."""
    return int(np.clip(round(centre - side / 2), 0, length - side))
