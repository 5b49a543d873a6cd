"""Find the cell: nucleus mask, cell mask and whether both can be relied on, from colour alone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

WORK_SIZE = 128
"""Longer side, in pixels, at which masks are computed: enough for a nucleus, cheap for a request."""

MAX_BULGE = 1.2
"""Longest radius of a cell, of its median radius: what sticks out further is a neighbour. Chosen by how well
the diameter tells lymphocytes from monocytes on three training sources."""

MAX_CANDIDATES = 10
MAX_NUCLEUS_EDGE = 0.3
"""Most nuclei of comparable size, and largest share of the frame's edge that a nucleus takes. In 1,250 real cells and
91 whole fields the most were 10 and 0.285; noise has more spots, uneven light a longer edge."""


@dataclass(frozen=True, slots=True)
class Foreground:
    """The found cell of one image; a mask that is not valid is empty, never all ones.

    Attributes:
        nucleus: bool (H, W), the nucleus of the found cell, all its lobes.
        cell: bool (H, W), nucleus and cytoplasm.
        valid: whether a cell was found whose measures can be relied on.
        reason: why not, for a person to read; empty where `valid`.
        touches_border: whether the cell runs out of the frame, so that its size is a lower bound.
        candidates: number of separate nuclei of comparable size in the frame.
    """

    nucleus: NDArray[np.bool_]
    cell: NDArray[np.bool_]
    valid: bool
    reason: str = ""
    touches_border: bool = False
    candidates: int = 0

    @property
    def coverage(self) -> float:
        """Share of the frame that the cell takes, 0 to 1."""
        return float(self.cell.mean())

    @property
    def nucleus_diameter(self) -> float:
        """Diameter, in pixels of the image, of the disc that has the nucleus' area; 0 where invalid."""
        return float(2.0 * np.sqrt(self.nucleus.sum() / np.pi))

    @property
    def cell_diameter(self) -> float:
        """Diameter, in pixels of the image, of the disc that has the cell's area; 0 where invalid."""
        return float(2.0 * np.sqrt(self.cell.sum() / np.pi))

    @property
    def nucleus_touches_border(self) -> bool:
        """True if the nucleus runs out of the frame, so that its diameter is a lower bound."""
        edges = self.nucleus[0], self.nucleus[-1], self.nucleus[:, 0], self.nucleus[:, -1]
        return any(bool(edge.any()) for edge in edges)

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) centroid of the nucleus in pixels; the middle of the frame where invalid."""
        if not self.valid:
            height, width = self.cell.shape
            return (width - 1) / 2.0, (height - 1) / 2.0
        rows, columns = np.nonzero(self.nucleus)
        return float(columns.mean()), float(rows.mean())


def find_foreground(rgb: NDArray[np.uint8]) -> Foreground:
    """Find the leukocyte nearest to the middle of the frame.

    Optical density against the image's own background makes the measure independent of illumination and white
    balance. The nucleus is what absorbs most in green (all Romanowsky stains colour chromatin so), found with a
    multi-level Otsu threshold; the cytoplasm is what differs from the background and from the red cells in colour,
    close to the nucleus.

    Args:
        rgb: uint8 (H, W, 3).
    """
    height, width = rgb.shape[:2]
    scale = WORK_SIZE / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    density = _optical_density(np.asarray(cv2.GaussianBlur(small, (0, 0), 1.2), np.uint8))
    nuclei = _nuclei(density)
    nucleus, candidates, reason = _central_nucleus(nuclei)
    if reason:
        return _nothing(height, width, reason, candidates)
    cell = _cell(density, nucleus, nuclei)
    border = np.ones(cell.shape, np.bool_)
    border[1:-1, 1:-1] = False
    touches = bool((nucleus & border).sum() + (cell & border).sum() > 0.08 * border.sum())
    if (edge := float(nucleus[border].mean())) > MAX_NUCLEUS_EDGE:
        reason = f"no nucleus found: what is dark runs along {edge:.0%} of the frame's edge"
        return _nothing(height, width, reason, candidates)
    share = float(cell.mean())
    if share > 0.9:
        reason = f"the found cell fills {share:.0%} of the frame; at most 90% is accepted as a cell"
        return _nothing(height, width, reason, candidates)
    return Foreground(_full(nucleus, width, height), _full(cell, width, height), True, "", touches, candidates)


def _nothing(height: int, width: int, reason: str, candidates: int) -> Foreground:
    empty = np.zeros((height, width), np.bool_)
    return Foreground(empty, empty, False, reason, candidates=candidates)


def _full(mask: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    return cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(np.bool_)


def _optical_density(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Per-channel density above the background, float32 (H, W, 3); the background is the 85th percentile."""
    background = np.percentile(rgb[::2, ::2].reshape(-1, 3), 85, axis=0)
    levels = np.arange(1, 257, dtype=np.float32)  # +1: black has a finite density
    return np.stack(
        [np.maximum(np.log((background[c] + 1) / levels), 0.0).astype(np.float32)[rgb[..., c]] for c in range(3)],
        axis=-1,
    )


def _otsu_levels(values: NDArray[np.float32], bins: int = 64) -> tuple[float, float]:
    """Two thresholds that part `values` into three groups of least variance (Otsu 1979, multi-level)."""
    top = float(values.max()) + 1e-6
    counts = np.bincount((values * (bins / top)).astype(np.int32).ravel(), minlength=bins)[:bins]
    edges = np.linspace(0.0, top, bins + 1)
    middles = (edges[:-1] + edges[1:]) / 2.0
    weight = np.concatenate([[0.0], np.cumsum(counts)])
    moment = np.concatenate([[0.0], np.cumsum(counts * middles)])
    # spread[i, j]: squared sum over mass of the bins i..j-1, which least within-group variance maximises.
    mass, total = weight[None, :] - weight[:, None], moment[None, :] - moment[:, None]
    spread = np.where(mass > 0, total**2 / np.maximum(mass, 1e-9), 0.0)
    score = spread[0, :, None] + spread + spread[None, :, bins]
    best = np.unravel_index(int(np.argmax(np.triu(score[1:bins, 1:bins], 1))), (bins - 1, bins - 1))
    return float(edges[best[0] + 1]), float(edges[best[1] + 1])


def _nuclei(density: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels of nuclei, bool (H, W)."""
    # Green separates chromatin from cytoplasm, red separates it from erythrocytes, which absorb hardly any red.
    signal = density[..., 1] + density[..., 0]
    _, high = _otsu_levels(signal)
    mask = (signal > max(high, 0.25)).astype(np.uint8)
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    return np.asarray(opened, np.bool_)


def _central_nucleus(nuclei: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int, str]:
    """The nucleus nearest to the middle with its other lobes, the number of candidates, and why there is none."""
    height, width = nuclei.shape
    count, labels, stats, centres = cv2.connectedComponentsWithStats(nuclei.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
    if count <= 1 or areas.max() < 0.004 * height * width:
        return nuclei, 0, "no nucleus found: nothing in the frame is dark and large enough"
    offset = np.hypot(centres[1:, 0] - width / 2, centres[1:, 1] - height / 2) / np.hypot(width / 2, height / 2)
    main = int(np.argmax(areas * np.exp(-((offset / 0.45) ** 2)))) + 1
    mask = labels == main
    # Lobes of one nucleus lie within about a diameter of each other; another cell's nucleus lies further off.
    radius = np.sqrt(areas[main - 1] / np.pi)
    reach = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    for label in range(1, count):
        left, top, across, down = stats[label, :4]
        # What lies on the picture's edge is another cell, or the edge itself: some cameras leave a black line there.
        on_edge = left == 0 or top == 0 or left + across == width or top + down == height
        if label == main or on_edge or areas[label - 1] < 0.02 * areas[main - 1]:
            continue
        if reach[labels == label].min() <= 0.6 * radius:
            mask |= labels == label
    others = sum(
        1 for label in range(1, count) if areas[label - 1] > 0.4 * mask.sum() and not mask[labels == label].any()
    )
    if others >= MAX_CANDIDATES:
        return mask, 1 + others, f"no nucleus found: {1 + others} dark spots are of comparable size, as in noise"
    return mask, 1 + others, ""


def _cell(density: NDArray[np.float32], nucleus: NDArray[np.bool_], nuclei: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nucleus and cytoplasm: what is coloured unlike the background within reach of the nucleus' hull."""
    points = cv2.findNonZero(nucleus.astype(np.uint8))
    hull = np.zeros(nucleus.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    radius = float(np.sqrt(hull.sum() / np.pi))
    reach = cv2.distanceTransform(1 - hull, cv2.DIST_L2, 3)
    total = density.sum(axis=2)
    low, _ = _otsu_levels(total)
    stained = total > min(max(0.5 * low, 0.08), 0.5)
    # Erythrocytes absorb blue and green and hardly any red; cytoplasm absorbs all three or, if pale, nearly nothing.
    redness = density[..., 0] / (total + 1e-3)
    ring = stained & (reach > 0) & (reach <= 0.25 * radius)
    own = float(np.median(redness[ring])) if ring.sum() >= 20 else float(np.median(redness[nucleus]))
    plasma = stained & (np.abs(redness - own) < 0.12) & (reach <= 0.9 * radius) & ~(nuclei & ~nucleus)
    mask = (plasma | (hull > 0)).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel), np.uint8) | hull
    _, labels = cv2.connectedComponents(mask, connectivity=4)
    mask = (labels == np.bincount(labels[hull > 0]).argmax()).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mask, contours, -1, 1, cv2.FILLED)
    return _without_neighbours(np.asarray(mask, np.uint8), hull)


def _without_neighbours(cell: NDArray[np.uint8], hull: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Cut off red cells that touch the cell: leukocytes are round, so the outline is bounded in the polar plane.

    Args:
        cell: uint8 (H, W), 1 in the cell.
        hull: uint8 (H, W), 1 in the convex hull of the nucleus.
    """
    moments = cv2.moments(hull, binaryImage=True)
    centre = (moments["m10"] / moments["m00"], moments["m01"] / moments["m00"])
    reach, turns = float(np.hypot(*cell.shape)), 90
    flags = cv2.WARP_POLAR_LINEAR | cv2.INTER_NEAREST | cv2.WARP_FILL_OUTLIERS
    size = (round(reach), turns)
    rays, inner = (cv2.warpPolar(mask, size, centre, reach, flags) for mask in (cell | hull, hull))
    nucleus = size[0] - np.argmax(inner[:, ::-1], axis=1)  # where each ray leaves the nucleus for the last time
    gap = (rays == 0) & (np.arange(size[0]) >= nucleus[:, None])
    radius = np.where(gap.any(axis=1), gap.argmax(axis=1), size[0])
    radius = np.minimum(radius, MAX_BULGE * np.median(radius))
    angle = 2 * np.pi * np.arange(turns) / turns
    outline = np.stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)], axis=1)
    bounded = hull.copy()
    cv2.fillPoly(bounded, [np.rint(outline).astype(np.int32)], 1)
    return np.asarray((bounded & cell) | hull, np.bool_)
