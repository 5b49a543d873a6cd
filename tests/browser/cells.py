"""Drawn cells: images that belong to nobody, for tests that need an image and not a particular one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def drawn_cell(seed: int, side: int = 160) -> NDArray[np.uint8]:
    """A stained-looking cell between red cells, RGB uint8 (side, side, 3); the same for the same seed."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), (244, 232, 226), np.uint8)
    for _ in range(7):
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.42, 0.62) * side
        at = (int(side / 2 + distance * np.cos(angle)), int(side / 2 + distance * np.sin(angle)))
        cv2.circle(image, at, int(side * 0.15), (226, 176, 170), -1, cv2.LINE_AA)
        cv2.circle(image, at, int(side * 0.06), (236, 200, 194), -1, cv2.LINE_AA)
    middle = side // 2
    cv2.circle(image, (middle, middle), int(side * 0.27), (214, 196, 224), -1, cv2.LINE_AA)
    for lobe in range(int(rng.integers(1, 5))):
        angle = lobe * 2.1 + rng.uniform(-0.3, 0.3)
        at = (int(middle + side * 0.09 * np.cos(angle)), int(middle + side * 0.09 * np.sin(angle)))
        cv2.circle(image, at, int(side * rng.uniform(0.09, 0.13)), (98, 58, 140), -1, cv2.LINE_AA)
    noise = rng.normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def write_cell(path: Path, seed: int) -> Path:
    """Write a drawn cell as PNG under this path and return it."""
    cv2.imwrite(str(path), cv2.cvtColor(drawn_cell(seed), cv2.COLOR_RGB2BGR))
    return path
