"""How far an embedding lies from those of the training images: whether the model has seen the like."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wbc.errors import BundleCorrupted, InvalidParameter

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Familiarity:
    """Class-conditional Gaussians with one shared covariance, in the leading directions of the embeddings.

    The distance is Mahalanobis' (Lee et al. 2018, arXiv 1807.03888) to the nearest class centre, the square root of
    the mean over all directions, so that about 1 is usual whatever their number. Directions past the leading ones
    are pooled into one residual variance, as in probabilistic PCA (Tipping and Bishop 1999): that is a shrinkage which
    keeps the covariance invertible, and a cell that leaves the subspace is far away all the same. No training image is
    kept.

    Attributes:
        mean: (C,) of all embeddings.
        axes: (k, C) orthonormal, leading eigenvectors of the within-class covariance.
        variances: (k,) along them.
        residual: mean variance of a direction past them.
        centres: (classes, k) class means along the axes.
        off_axes: (classes, C) what of a class mean lies past them.
    """

    mean: Floats
    axes: Floats
    variances: Floats
    residual: Floats
    centres: Floats
    off_axes: Floats

    @classmethod
    def fit(cls, embeddings: Floats, labels: NDArray[np.integer], directions: int = 64) -> Self:
        """From embeddings (N, C) of images of known class (N,).

        Raises:
            InvalidParameter: fewer than two images a class, or all alike.
        """
        known, counts = np.unique(labels, return_counts=True)
        if len(known) == 0 or counts.min() < 2:
            raise InvalidParameter(
                f"{dict(zip(known.tolist(), counts.tolist(), strict=True))} images; each class needs two"
            )
        values = np.asarray(embeddings, np.float64)
        mean = values.mean(axis=0)
        means = np.stack([values[labels == index].mean(axis=0) for index in known])
        within = values - means[np.searchsorted(known, labels)]
        freedom = len(values) - len(known)
        _, singular, axes = np.linalg.svd(within, full_matrices=False)
        spectrum = singular**2 / freedom
        if spectrum[0] <= 0:
            raise InvalidParameter("the embeddings of each class are all alike; their spread cannot be estimated")
        count = min(directions, int((spectrum > spectrum[0] * 1e-9).sum()), values.shape[1] - 1)
        # What N images leave unseen is taken as spread evenly: never less than a thousandth of the k-th variance.
        left = spectrum[count:].sum() / max(values.shape[1] - count, 1)
        residual = max(float(left), float(spectrum[count - 1]) * 1e-3)
        axes, offsets = axes[:count], means - mean
        centres = offsets @ axes.T
        return cls(mean, axes, spectrum[:count], np.asarray(residual), centres, offsets - centres @ axes)

    def distances(self, embeddings: Floats) -> NDArray[np.float64]:
        """Distance of embeddings (N, C) from the nearest class, (N,); about 1 is usual."""
        offset = np.asarray(embeddings, np.float64) - self.mean
        along = offset @ np.asarray(self.axes, np.float64).T
        past = offset - along @ self.axes
        squares = []
        for centre, off in zip(self.centres, self.off_axes, strict=True):
            inside = ((along - centre) ** 2 / self.variances).sum(axis=1)
            squares.append(inside + ((past - off) ** 2).sum(axis=1) / float(self.residual))
        return np.asarray(np.sqrt(np.min(squares, axis=0) / self.axes.shape[1]))

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
                return cls(**{f.name: stored[f.name].astype(np.float64) for f in fields(cls)})
        except (KeyError, ValueError, OSError, EOFError) as error:
            raise BundleCorrupted(f"{path} holds no statistics of embeddings: {error}") from error
