"""Distance of an embedding from those of the training images, for out-of-distribution detection."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wbc.errors import BundleCorrupted, InvalidParameter

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Familiarity:
    """Class centres with one shared, shrunk covariance, in the leading directions of the embeddings.

    The distance is the Mahalanobis distance to the nearest class centre (Lee et al. 2018, arXiv 1807.03888), with two
    changes for few images in many dimensions. The directions after the leading ones share one residual variance, as in
    probabilistic PCA (Tipping and Bishop 1999). A share of the largest variance is added to every variance, which
    shrinks the covariance towards the sphere: otherwise the directions in which training images hardly differ dominate,
    and every new image differs there. Embeddings are first scaled to length 1, because their length depends on the
    strength of the stain. Distances are in units of the median of the training images, so about 1 is usual. No training
    image is stored.

    Attributes:
        mean: (C,) mean of all embeddings.
        axes: (k, C) orthonormal, leading eigenvectors of the within-class covariance.
        variances: (k,) shrunk variances along the axes.
        residual: shrunk mean variance of the other directions.
        centres: (classes, k) class means along the axes.
        off_axes: (classes, C) components of the class means in the other directions.
        scale: divisor of the distances.
        unit_length: 1 if embeddings are scaled to length 1, otherwise 0.
    """

    mean: Floats
    axes: Floats
    variances: Floats
    residual: Floats
    centres: Floats
    off_axes: Floats
    scale: Floats
    unit_length: Floats

    @classmethod
    def fit(
        cls,
        embeddings: Floats,
        labels: NDArray[np.integer],
        *,
        directions: int = 32,
        shrinkage: float = 0.3,
        unit_length: bool = True,
    ) -> Self:
        """Fit to embeddings of images of known classes.

        Args:
            embeddings: (N, C).
            labels: (N,) class indices.
            directions: number of leading directions.
            shrinkage: share of the largest variance that is added to every variance.
            unit_length: true to scale embeddings to length 1.

        Raises:
            InvalidParameter: a class has fewer than two images, or all embeddings of each class are equal.
        """
        known, counts = np.unique(labels, return_counts=True)
        if len(known) == 0 or counts.min() < 2:
            found = dict(zip(known.tolist(), counts.tolist(), strict=True))
            raise InvalidParameter(f"{found} images per class; each class needs at least two")
        values = _scaled(embeddings, unit_length)
        mean = values.mean(axis=0)
        means = np.stack([values[labels == index].mean(axis=0) for index in known])
        within = values - means[np.searchsorted(known, labels)]
        _, singular, axes = np.linalg.svd(within, full_matrices=False)
        spectrum = singular**2 / max(len(values) - len(known), 1)
        if spectrum[0] <= 1e-20 * (1.0 + (mean**2).sum()):
            raise InvalidParameter("the embeddings of each class are all equal; their covariance cannot be estimated")
        count = min(directions, int((spectrum > spectrum[0] * 1e-9).sum()), values.shape[1] - 1)
        left = spectrum[count:].sum() / max(values.shape[1] - count, 1)
        # At least a thousandth of the last leading variance: a variance of 0 would make the distance infinite.
        residual = max(float(left), float(spectrum[count - 1]) * 1e-3)
        added, axes, offsets = shrinkage * spectrum[0], axes[:count], means - mean
        centres = offsets @ axes.T
        fitted = cls(
            mean=mean,
            axes=axes,
            variances=spectrum[:count] + added,
            residual=np.asarray(residual + added),
            centres=centres,
            off_axes=offsets - centres @ axes,
            scale=np.asarray(1.0),
            unit_length=np.asarray(float(unit_length)),
        )
        return replace(fitted, scale=np.asarray(np.median(fitted.distances(embeddings))))

    def distances(self, embeddings: Floats) -> NDArray[np.float64]:
        """Return the distances (N,) of embeddings (N, C) from the nearest class; about 1 is usual."""
        offset = _scaled(embeddings, bool(self.unit_length)) - self.mean
        along = offset @ self.axes.T
        past = offset - along @ self.axes
        squares = []
        for centre, off in zip(self.centres, self.off_axes, strict=True):
            inside = ((along - centre) ** 2 / self.variances).sum(axis=1)
            squares.append(inside + ((past - off) ** 2).sum(axis=1) / float(self.residual))
        return np.asarray(np.sqrt(np.min(squares, axis=0)) / float(self.scale))

    def distance(self, embedding: Floats) -> float:
        """Return the distance of one embedding (C,)."""
        return float(self.distances(embedding[None])[0])

    def save(self, path: Path) -> None:
        """Write an `.npz` file: directions in half precision, all other numbers in single."""
        half = {"axes", "off_axes"}
        arrays = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        small = {name: a.astype(np.float16 if name in half else np.float32) for name, a in arrays.items()}
        np.savez_compressed(path, allow_pickle=False, **small)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote.

        Raises:
            BundleCorrupted: the file has other contents.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                # Bundles of the first format lack `scale` and `unit_length`; their distance is a root mean square.
                former = {"scale": np.sqrt(stored["axes"].shape[1]), "unit_length": 0.0}
                arrays = {f.name: stored[f.name] if f.name in stored else former[f.name] for f in fields(cls)}
                return cls(**{name: np.asarray(value, np.float64) for name, value in arrays.items()})
        except (KeyError, ValueError, OSError, EOFError) as error:
            raise BundleCorrupted(f"{path} does not contain embedding statistics: {error}") from error


def _scaled(embeddings: Floats, unit_length: bool) -> NDArray[np.float64]:
    values = np.asarray(embeddings, np.float64)
    if not unit_length:
        return values
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12))
