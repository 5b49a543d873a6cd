"""How far an embedding lies from those of the training images: whether the model has seen the like."""

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

    The distance is Mahalanobis' (Lee et al. 2018, arXiv 1807.03888) to the nearest class centre. Two things make it
    work on few images of many dimensions. Directions past the leading ones are pooled into one residual variance, as
    in probabilistic PCA (Tipping and Bishop 1999). And a share of the largest variance is added to every variance,
    which is a shrinkage of the covariance towards the sphere: whitened without it, directions in which training
    images hardly differ decide alone, and any new image differs there. Embeddings are scaled to length 1 first: their
    length says how strong a stain is, not what is seen. Distances are in units of the training images' median, so that
    about 1 is usual. No training image is kept.

    Attributes:
        mean: (C,) of all embeddings.
        axes: (k, C) orthonormal, leading eigenvectors of the within-class covariance.
        variances: (k,) along them, shrunk.
        residual: mean variance of a direction past them, shrunk.
        centres: (classes, k) class means along the axes.
        off_axes: (classes, C) what of a class mean lies past them.
        scale: what a distance is divided by.
        unit_length: whether embeddings are scaled to length 1; 0 or 1.
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
        """From embeddings of images of known class.

        Args:
            embeddings: (N, C).
            labels: (N,) class indices.
            directions: leading directions that are kept.
            shrinkage: share of the largest variance that is added to every variance.
            unit_length: whether to scale embeddings to length 1.

        Raises:
            InvalidParameter: fewer than two images a class, or all alike.
        """
        known, counts = np.unique(labels, return_counts=True)
        if len(known) == 0 or counts.min() < 2:
            found = dict(zip(known.tolist(), counts.tolist(), strict=True))
            raise InvalidParameter(f"{found} images by class; each class needs two")
        values = _scaled(embeddings, unit_length)
        mean = values.mean(axis=0)
        means = np.stack([values[labels == index].mean(axis=0) for index in known])
        within = values - means[np.searchsorted(known, labels)]
        _, singular, axes = np.linalg.svd(within, full_matrices=False)
        spectrum = singular**2 / max(len(values) - len(known), 1)
        if spectrum[0] <= 1e-20 * (1.0 + (mean**2).sum()):
            raise InvalidParameter("the embeddings of each class are all alike; their spread cannot be estimated")
        count = min(directions, int((spectrum > spectrum[0] * 1e-9).sum()), values.shape[1] - 1)
        left = spectrum[count:].sum() / max(values.shape[1] - count, 1)
        # Never less than a thousandth of the last direction kept: unseen is not impossible.
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
        """Distance of embeddings (N, C) from the nearest class, (N,); about 1 is usual."""
        offset = _scaled(embeddings, bool(self.unit_length)) - self.mean
        along = offset @ self.axes.T
        past = offset - along @ self.axes
        squares = []
        for centre, off in zip(self.centres, self.off_axes, strict=True):
            inside = ((along - centre) ** 2 / self.variances).sum(axis=1)
            squares.append(inside + ((past - off) ** 2).sum(axis=1) / float(self.residual))
        return np.asarray(np.sqrt(np.min(squares, axis=0)) / float(self.scale))

    def distance(self, embedding: Floats) -> float:
        """Distance of one embedding (C,)."""
        return float(self.distances(embedding[None])[0])

    def save(self, path: Path) -> None:
        """Write an `.npz`; half precision where it only turns, single where it scales."""
        half = {"axes", "off_axes"}
        arrays = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        small = {name: a.astype(np.float16 if name in half else np.float32) for name, a in arrays.items()}
        np.savez_compressed(path, allow_pickle=False, **small)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            BundleCorrupted: the file holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                # The first bundle that was shipped has neither of the last two: its distance is a root mean square.
                former = {"scale": np.sqrt(stored["axes"].shape[1]), "unit_length": 0.0}
                arrays = {f.name: stored[f.name] if f.name in stored else former[f.name] for f in fields(cls)}
                return cls(**{name: np.asarray(value, np.float64) for name, value in arrays.items()})
        except (KeyError, ValueError, OSError, EOFError) as error:
            raise BundleCorrupted(f"{path} holds no statistics of embeddings: {error}") from error


def _scaled(embeddings: Floats, unit_length: bool) -> NDArray[np.float64]:
    values = np.asarray(embeddings, np.float64)
    if not unit_length:
        return values
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12))
