"""Distance from the training images: against Mahalanobis computed plainly, and through the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wbc.adaptation.familiarity import Familiarity
from wbc.errors import BundleCorrupted, InvalidParameter

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(3), 400)
CENTRES = RNG.normal(0, 5, (3, 12))
SPREAD = np.diag(np.linspace(2.0, 0.2, 12))
KNOWN = CENTRES[LABELS] + RNG.normal(0, 1, (1200, 12)) @ SPREAD


def test_without_shrinkage_it_is_mahalanobis_to_the_nearest_class() -> None:
    fitted = Familiarity.fit(KNOWN, LABELS, directions=11, shrinkage=0.0, unit_length=False)
    means = np.stack([KNOWN[c == LABELS].mean(axis=0) for c in range(3)])
    covariance = (KNOWN - means[LABELS]).T @ (KNOWN - means[LABELS]) / (1200 - 3)
    query = RNG.normal(0, 6, (20, 12))
    offsets = query[:, None] - means
    squares = np.einsum("qci,ij,qcj->qc", offsets, np.linalg.inv(covariance), offsets).min(axis=1)
    assert fitted.distances(query) * fitted.scale == pytest.approx(np.sqrt(squares), rel=0.05)


def test_with_all_shrinkage_it_is_the_plain_distance() -> None:
    fitted = Familiarity.fit(KNOWN, LABELS, directions=4, shrinkage=1e6, unit_length=False)
    means = np.stack([KNOWN[c == LABELS].mean(axis=0) for c in range(3)])
    query = RNG.normal(0, 6, (20, 12))
    plain = np.linalg.norm(query[:, None] - means, axis=2).min(axis=1)
    assert fitted.distances(query) / fitted.distances(query)[0] == pytest.approx(plain / plain[0], rel=1e-4)


@pytest.mark.parametrize("unit_length", [True, False])
def test_images_of_the_classes_are_near_one_and_others_are_far(unit_length: bool) -> None:
    fitted = Familiarity.fit(KNOWN[::2], LABELS[::2], directions=6, unit_length=unit_length)
    near = fitted.distances(KNOWN[1::2])
    assert 0.8 < np.median(near) < 1.2
    off_centre = fitted.distances(-CENTRES.sum(axis=0) + RNG.normal(0, 1, (50, 12)) @ SPREAD)
    assert off_centre.min() > np.percentile(near, 99)


def test_length_counts_only_where_it_is_kept() -> None:
    query = KNOWN[:5]
    unit = Familiarity.fit(KNOWN, LABELS, unit_length=True)
    kept = Familiarity.fit(KNOWN, LABELS, unit_length=False)
    assert unit.distances(3 * query) == pytest.approx(unit.distances(query))
    assert (kept.distances(3 * query) > 2 * kept.distances(query)).all()


def test_leaving_the_subspace_is_far_even_where_its_directions_see_nothing() -> None:
    fitted = Familiarity.fit(KNOWN, LABELS, directions=4, unit_length=False)
    unseen = np.linalg.svd(fitted.axes)[2][-1]  # orthogonal to every leading direction
    assert fitted.distance(KNOWN[0] + 30 * unseen) > 3 * fitted.distances(KNOWN).max()


def test_it_survives_the_file(tmp_path: Path) -> None:
    fitted = Familiarity.fit(KNOWN, LABELS, directions=6)
    fitted.save(tmp_path / "familiarity.npz")
    again = Familiarity.load(tmp_path / "familiarity.npz")
    query = RNG.normal(0, 6, (20, 12))
    assert again.distances(query) == pytest.approx(fitted.distances(query), rel=5e-3)
    assert again.distance(query[3]) == pytest.approx(again.distances(query)[3])


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_damaged_file_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "familiarity.npz"
    if content is None:
        np.savez(path, mean=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(BundleCorrupted, match="does not contain embedding statistics"):
        Familiarity.load(path)


def test_the_first_shipped_file_still_loads(tmp_path: Path) -> None:
    fitted = Familiarity.fit(KNOWN, LABELS, shrinkage=0.0, unit_length=False)
    arrays = {name: getattr(fitted, name) for name in ("mean", "axes", "variances", "residual", "centres", "off_axes")}
    np.savez(tmp_path / "familiarity.npz", **arrays)
    again = Familiarity.load(tmp_path / "familiarity.npz")
    assert again.distances(KNOWN[:9]) == pytest.approx(fitted.distances(KNOWN[:9]) * fitted.scale / np.sqrt(12))


def test_more_dimensions_than_images_can_be_fitted() -> None:
    few = RNG.normal(0, 1, (12, 300)) + 4 * np.repeat(np.eye(3, 300), 4, axis=0)
    fitted = Familiarity.fit(few, np.repeat(np.arange(3), 4))
    assert np.isfinite(fitted.distances(RNG.normal(0, 1, (5, 300)))).all()


def test_too_few_images_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="each class needs at least two"):
        Familiarity.fit(KNOWN[:401], LABELS[:401])
    with pytest.raises(InvalidParameter, match="all equal"):
        Familiarity.fit(np.ones((6, 4)), np.repeat(np.arange(3), 2))
