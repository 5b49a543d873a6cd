"""What is fitted once a graph is final, on `Val` and `unclassifiable/Train`: temperatures, limits, familiarity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.answers import Answers
from evaluation.asking import Classifier, Entrant, answer
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
from wbc.analysis import Pipeline
from wbc.bundle import FAMILIARITY, Bundle, sha256, write_manifest
from wbc.data.dataset import VAL, Split, read_split, val_folders
from wbc.images import decode
from wbc.inference import OnnxClassifier

Rgb = NDArray[np.uint8]

SHRINKAGES = (0.03, 0.1, 0.3, 1.0)
"""Shrinkages of the embeddings' covariance that are tried; `unclassifiable/Train` chooses."""


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """A calibration.

    Attributes:
        data_root: folder of the splits, with `Val`; `unclassifiable/Train` is looked for beside it.
        sources: folders of the training images.
        limit: `Val` images a class; 0 is all.
        train_images: training images a class for the statistics of the embeddings.
        view_images: `Val` images a class that are looked at in eight views.
        degraded_images: `Val` images a class that are blurred, darkened and faded.
        batch_size: views in one forward pass.
        workers: threads that decode and prepare; 0 is one a core.
    """

    data_root: Path
    sources: tuple[str, ...] = ("Train",)
    limit: int = 0
    train_images: int = 150
    view_images: int = 24
    degraded_images: int = 8
    batch_size: int = 32
    workers: int = 0


def calibrate(bundle: Bundle, config: CalibrationConfig) -> Bundle:
    """Fit everything anew for a bundle's graph, and write it into the bundle's folder.

    Raises:
        DataError: there is no `Val` or no training split.
        InvalidParameter: `Val` is too small or too easy to fit a temperature on.
    """
    plain = bundle.manifest.model_copy(update={"tta": "none", "review": ReviewThresholds(min_confidence=0.0)})
    ask = _Asker(replace(bundle, manifest=plain), OnnxClassifier(bundle.onnx_path), config)
    folders = val_folders(config.data_root, config.sources) or [VAL]
    val = ask(Split.joined([read_split(config.data_root, name, config.limit) for name in folders]))
    logits = _log(val.probabilities)
    temperature = round(fit_temperature(logits, val.labels), 5)
    calibrated = probabilities(logits, temperature)
    confidence, correct = calibrated.max(axis=1), calibrated.argmax(axis=1) == val.labels
    familiarity, max_distance = _familiarity(ask, val)
    least = {name: round(value, 4) for name, value in _least_quality(ask, val).items()}
    review = ReviewThresholds(
        min_confidence=max(
            *(
                fit_min_confidence(
                    confidence[val.split.source == source], correct[val.split.source == source], ACCEPTED_ERROR
                )
                for source in range(len(folders))
            ),
            bundle.manifest.training.left_out.get("min_confidence", 0.0) if bundle.manifest.training else 0.0,
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
            "tta_temperature": round(temperature * _tta_scale(ask), 5),
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
class _Asker:
    """Asks the model before anything is fitted: temperature 1, nothing flagged."""

    bundle: Bundle
    classifier: Classifier
    config: CalibrationConfig

    def __call__(self, split: Split, tta: Mode = "none") -> Answers:
        entrant = Entrant(self.pipeline(tta))
        batch_size, workers = self.config.batch_size, self.config.workers
        return answer({"": entrant}, self.classifier, split, batch_size=batch_size, workers=workers)[""]

    def pipeline(self, tta: Mode = "none") -> Pipeline:
        files = {name: digest for name, digest in self.bundle.manifest.files.items() if name != FAMILIARITY}
        update = {"tta": tta, "temperature": 1.0, "tta_temperature": None, "files": files}
        return Pipeline(replace(self.bundle, manifest=self.bundle.manifest.model_copy(update=update)))


def _tta_scale(ask: _Asker) -> float:
    """By how much the mean logits of eight views are flatter than those of one, as a ratio of top-two margins.

    The temperature of the mean is that of one view times this ratio. Fitting it on labels instead would need as many
    images in eight views as the temperature has in one: few of `Val` are wrong, and they alone decide a fit.
    """
    split = read_split(ask.config.data_root, "Val", ask.config.view_images)
    one, eight = _log(ask(split).probabilities), _log(ask(split, "light").probabilities)
    margins = [float(np.mean(np.diff(np.sort(logits, axis=1)[:, -2:], axis=1))) for logits in (one, eight)]
    return margins[1] / margins[0]


def _familiarity(ask: _Asker, val: Answers) -> tuple[Familiarity, float]:
    """Statistics of the training images' embeddings, and the largest usual distance from them."""
    sources = [read_split(ask.config.data_root, name, ask.config.train_images) for name in ask.config.sources]
    train = ask(Split.joined(sources))
    folder = ask.config.data_root.parent / "unclassifiable" / "Train"
    unknown = [ask(split) for split in read_unknown(folder, ask.config.train_images)] if folder.is_dir() else []
    if not unknown:
        usual = Familiarity.fit(train.embedding, train.labels)
        return usual, fit_max_distance(usual.distances(val.embedding), np.zeros(0))
    best: tuple[float, Familiarity, float] | None = None
    for shrinkage in SHRINKAGES:
        each = Familiarity.fit(train.embedding, train.labels, shrinkage=shrinkage)
        far = [each.distances(kind.embedding) for kind in unknown]
        threshold = fit_max_distance(each.distances(val.embedding), np.concatenate(far))
        # Each kind of cell weighs the same. What counts is what is found while few known ones are flagged.
        share = float(np.mean([(distances > threshold).mean() for distances in far]))
        if best is None or share > best[0]:
            best = (share, each, threshold)
    assert best is not None
    return best[1], best[2]


def _least_quality(ask: _Asker, val: Answers) -> dict[str, float]:
    """Least sharpness, brightness and contrast: where `Val` images made worse are no longer answered well."""
    split = read_split(ask.config.data_root, "Val", ask.config.degraded_images)
    pictures = [decode(path.read_bytes()) for path in split.paths]
    _, accuracy = _degraded(ask, pictures, split.labels, "sharpness")
    least = {}
    for name, (make, strengths) in DEGRADATIONS.items():
        worse = ([make(rgb, strength) for rgb in pictures] for strength in strengths)
        steps = [_degraded(ask, made, split.labels, name) for made in worse]
        least[f"min_{name}"] = fit_least_quality(getattr(val, name), steps, accuracy)
    return least


def _degraded(ask: _Asker, pictures: Sequence[Rgb], labels: NDArray[np.int64], name: str) -> tuple[float, float]:
    """Median of a measure of quality, and accuracy, of pictures."""
    pipeline, size = ask.pipeline(), ask.config.batch_size
    values, answers = [], []
    for start in range(0, len(pictures), size):
        prepared = [pipeline.preprocessor(rgb) for rgb in pictures[start : start + size]]
        outputs = ask.classifier(np.stack([p.model_input for p in prepared]))
        for row, image in enumerate(prepared):
            analysis = pipeline.conclude(image, outputs.rows(slice(row, row + 1)))
            values.append(getattr(analysis.quality, name))
            answers.append(int(analysis.probabilities.argmax()))
    return float(np.median(values)), float((np.array(answers) == labels).mean())


def _blurred(rgb: Rgb, sigma: float) -> Rgb:
    """Out of focus by `sigma`, in pixels of a picture of 224."""
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma * max(rgb.shape[:2]) / 224), np.uint8)


def _darkened(rgb: Rgb, light: float) -> Rgb:
    return np.asarray(np.rint(rgb * light), np.uint8)


def _faded(rgb: Rgb, kept: float) -> Rgb:
    """Overexposed: everything moves towards white."""
    return np.asarray(np.rint(255.0 - (255.0 - rgb.astype(np.float64)) * kept), np.uint8)


DEGRADATIONS: dict[str, tuple[Callable[[Rgb, float], Rgb], tuple[float, ...]]] = {
    "sharpness": (_blurred, (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)),
    "brightness": (_darkened, (0.7, 0.5, 0.35, 0.25, 0.15, 0.08)),
    "contrast": (_faded, (0.7, 0.5, 0.35, 0.25, 0.15, 0.08)),
}
"""How pictures are made worse for each measure, the mildest first."""
