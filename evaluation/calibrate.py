"""Calibration of a final graph on `Val` and `unclassifiable/Train`: temperatures, review thresholds, statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.predictions import Predictions, predict_one
from evaluation.unknown import read_unknown
from wbc.adaptation.calibration import fit_temperature, negative_log_likelihood, probabilities
from wbc.adaptation.familiarity import Familiarity
from wbc.adaptation.review import (
    ACCEPTED_ERROR,
    ReviewThresholds,
    fit_least_quality,
    fit_max_cells,
    fit_max_distance,
    fit_min_confidence,
    fit_min_focus_lift,
)
from wbc.adaptation.tta import Mode, fit_auto_confidence
from wbc.analysis import Analysis, Pipeline
from wbc.analyzer import Analyzer
from wbc.bundle import FAMILIARITY, Bundle, sha256, write_manifest
from wbc.data.dataset import VAL, Split, read_split, val_folders
from wbc.images import decode
from wbc.settings import Settings
from wbc.settings import settings as process_settings

Rgb = NDArray[np.uint8]

SHRINKAGES = (0.03, 0.1, 0.3, 1.0)
"""Candidate shrinkages of the embeddings' covariance; `unclassifiable/Train` chooses."""


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """Configuration of a calibration.

    Attributes:
        data_root: folder of the splits, with `Val`; `unclassifiable/Train` is expected next to it.
        sources: folders of the training images.
        limit: maximum number of `Val` images per class; 0 takes all.
        train_images: training images per class for the statistics of the embeddings.
        view_images: `Val` images per class that are predicted with eight views.
        degraded_images: `Val` images per class that are blurred, darkened and faded.
        batch_size: maximum number of views in a forward pass.
        workers: threads that decode and prepare; 0 takes the CPU quota.
    """

    data_root: Path
    sources: tuple[str, ...] = ("Train",)
    limit: int = 0
    train_images: int = 150
    view_images: int = 24
    degraded_images: int = 8
    batch_size: int = 32
    workers: int = 0


def calibrate(bundle: Bundle, config: CalibrationConfig, settings: Settings | None = None) -> Bundle:
    """Fit all values of a bundle that depend on its final graph, and write them into its folder.

    Device and threads are those of the settings, by default of this process. The graph is always fp32, because all
    graphs of a bundle share the manifest.

    Raises:
        DataError: there is no `Val` or no training split.
        InvalidParameter: `Val` is too small or too easy to fit a temperature on.
    """
    predictor = _Predictor.load(bundle, config, settings or process_settings())
    folders = val_folders(config.data_root, config.sources) or [VAL]
    val = predictor(Split.joined([read_split(config.data_root, name, config.limit) for name in folders]))
    logits = _log(val.probabilities)
    temperature = round(fit_temperature(logits, val.labels), 5)
    calibrated = probabilities(logits, temperature)
    confidence, correct = calibrated.max(axis=1), calibrated.argmax(axis=1) == val.labels
    familiarity, max_distance = _familiarity(predictor, val)
    least = {name: round(value, 4) for name, value in _least_quality(predictor, val).items()}
    review = ReviewThresholds(
        min_confidence=max(
            fit_min_confidence(confidence[part], correct[part], ACCEPTED_ERROR)
            for part in (val.split.source == number for number in range(len(folders)))
        ),
        max_distance=round(max_distance, 4),
        max_cells=fit_max_cells(val.cells),
        # No floor at 0: the maps of a quarter of PBC's eosinophils lie below it, and their answers are right.
        min_focus_lift=fit_min_focus_lift(val.lift[np.isfinite(val.lift)], least=-1.0),
        **least,
    )
    familiarity.save(bundle.path / FAMILIARITY)
    counts = val.split.counts
    fitted = {
        "val_images": len(val.labels),
        "val_accuracy": round(float(correct.mean()), 6),
        "val_nll_before": round(negative_log_likelihood(logits, val.labels), 6),
        "val_nll_after": round(negative_log_likelihood(logits, val.labels, temperature), 6),
        "familiarity_directions": len(familiarity.variances),
    }
    training = bundle.manifest.training and bundle.manifest.training.model_copy(update={"calibrated": fitted})
    manifest = bundle.manifest.model_copy(
        update={
            "temperature": temperature,
            "tta_temperature": round(temperature * _tta_scale(predictor), 5),
            "tta_auto_confidence": fit_auto_confidence(confidence),
            "label_prior": tuple((counts / counts.sum()).round(6).tolist()) if (counts > 0).all() else None,
            "review": review,
            "training": training,
            "files": {**bundle.manifest.files, FAMILIARITY: sha256(bundle.path / FAMILIARITY)},
        }
    )
    write_manifest(bundle.path, manifest)
    return Bundle.load(bundle.path)


def _log(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities at temperature 1 as logits, which hold the shift by the cell's size."""
    return np.asarray(np.log(np.maximum(probabilities, 1e-300)))


@dataclass(frozen=True)
class _Predictor:
    """Predicts before anything is fitted: temperature 1, one view, no image flagged."""

    analyzer: Analyzer
    config: CalibrationConfig

    @classmethod
    def load(cls, bundle: Bundle, config: CalibrationConfig, settings: Settings) -> _Predictor:
        files = {name: digest for name, digest in bundle.manifest.files.items() if name != FAMILIARITY}
        update = {
            "temperature": 1.0,
            "tta_temperature": None,
            "files": files,
            "review": ReviewThresholds(min_confidence=0),
        }
        unfitted = replace(bundle, manifest=bundle.manifest.model_copy(update=update))
        return cls(Analyzer.load(unfitted, settings.model_copy(update={"graph": "fp32", "tta": "none"})), config)

    def __call__(self, split: Split, tta: Mode = "none") -> Predictions:
        pipeline, config = Pipeline(self.analyzer.bundle.with_tta(tta)), self.config
        return predict_one(
            self.analyzer, split, pipeline=pipeline, batch_size=config.batch_size, workers=config.workers
        )


def _tta_scale(predict: _Predictor) -> float:
    """Return the ratio of the top-two logit margins of the mean of eight views to those of one view.

    The temperature of the mean is that of one view times this ratio. Fitting it on labels needs as many images with
    eight views as the temperature needs with one, because only the few misclassified images of `Val` decide the fit.
    """
    split = read_split(predict.config.data_root, VAL, predict.config.view_images)
    one, eight = _log(predict(split).probabilities), _log(predict(split, "light").probabilities)
    margins = [float(np.mean(np.diff(np.sort(logits, axis=1)[:, -2:], axis=1))) for logits in (one, eight)]
    return margins[1] / margins[0]


def _familiarity(predict: _Predictor, val: Predictions) -> tuple[Familiarity, float]:
    """Return statistics of the training images' embeddings, and the largest usual distance from them."""
    config = predict.config
    train = predict(Split.joined([read_split(config.data_root, name, config.train_images) for name in config.sources]))
    folder = config.data_root.parent / "unclassifiable" / "Train"
    unknown = [predict(split) for split in read_unknown(folder, config.train_images)] if folder.is_dir() else []
    if not unknown:
        usual = Familiarity.fit(train.embedding, train.labels)
        return usual, fit_max_distance(usual.distances(val.embedding), np.zeros(0))
    best: tuple[float, Familiarity, float] | None = None
    for shrinkage in SHRINKAGES:
        each = Familiarity.fit(train.embedding, train.labels, shrinkage=shrinkage)
        far = [each.distances(kind.embedding) for kind in unknown]
        threshold = fit_max_distance(each.distances(val.embedding), np.concatenate(far))
        # Each kind of cell has the same weight. The criterion is the share found while few known cells are flagged.
        share = float(np.mean([(distances > threshold).mean() for distances in far]))
        if best is None or share > best[0]:
            best = (share, each, threshold)
    assert best is not None
    return best[1], best[2]


def _least_quality(predict: _Predictor, val: Predictions) -> dict[str, float]:
    """Return the least sharpness, brightness and contrast at which degraded `Val` images are still classified well."""
    split = read_split(predict.config.data_root, VAL, predict.config.degraded_images)
    pictures = [decode(path.read_bytes()) for path in split.paths]
    _, accuracy = _degraded(predict, pictures, split.labels, "sharpness")
    least = {}
    for name, (degrade, strengths) in DEGRADATIONS.items():
        degraded = ([degrade(rgb, strength) for rgb in pictures] for strength in strengths)
        steps = [_degraded(predict, made, split.labels, name) for made in degraded]
        least[f"min_{name}"] = fit_least_quality(getattr(val, name), steps, accuracy)
    return least


def _degraded(
    predict: _Predictor, pictures: Sequence[Rgb], labels: NDArray[np.int64], name: str
) -> tuple[float, float]:
    """Return the median of a measure of quality, and the accuracy, of pictures."""
    config = predict.config
    found = predict.analyzer.analyze_many(pictures, batch_size=config.batch_size, workers=config.workers)
    analyses = []
    for _, one in found:
        if not isinstance(one, Analysis):
            raise one
        analyses.append(one)
    predicted = np.array([int(one.probabilities.argmax()) for one in analyses])
    return float(np.median([getattr(one.quality, name) for one in analyses])), float((predicted == labels).mean())


def _blurred(rgb: Rgb, sigma: float) -> Rgb:
    """Blur with a Gaussian of `sigma` pixels at a size of 224 pixels."""
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma * max(rgb.shape[:2]) / 224), np.uint8)


def _darkened(rgb: Rgb, light: float) -> Rgb:
    return np.asarray(np.rint(rgb * light), np.uint8)


def _faded(rgb: Rgb, kept: float) -> Rgb:
    """Overexpose: move all values towards white."""
    return np.asarray(np.rint(255.0 - (255.0 - rgb.astype(np.float64)) * kept), np.uint8)


DEGRADATIONS: dict[str, tuple[Callable[[Rgb, float], Rgb], tuple[float, ...]]] = {
    "sharpness": (_blurred, (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)),
    "brightness": (_darkened, (0.7, 0.5, 0.35, 0.25, 0.15, 0.08)),
    "contrast": (_faded, (0.7, 0.5, 0.35, 0.25, 0.15, 0.08)),
}
"""Degradation and its strengths, the mildest first, for each measure of quality."""
