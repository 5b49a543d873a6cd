"""Calibration of a final graph on pictures with known predictions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from evaluation.calibrate import CalibrationConfig, calibrate
from tests.evaluation.toy import picture, sure, write_pictures
from wbc.adaptation.calibration import negative_log_likelihood
from wbc.analysis import Pipeline
from wbc.bundle import Bundle
from wbc.errors import DataError
from wbc.images import encode_png
from wbc.inference import OnnxClassifier
from wbc.labels import CLASSES


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`Train` and `Val` with confident predictions, one in ten of `Val` wrong, and cells of another colour."""
    root = tmp_path_factory.mktemp("calibration") / "smears"
    rng = np.random.default_rng(0)
    for split, wrong in (("Train", 0), ("Val", 1)):
        pictures = {}
        for index, truth in enumerate(CLASSES):
            margins = np.round(rng.uniform(4.0, 8.0, 10) / 0.2) * 0.2
            predicted = [CLASSES[(index + 1) % 5]] * wrong + [truth] * (10 - wrong)
            pictures[truth] = [sure(label, margin) for label, margin in zip(predicted, margins, strict=True)]
        write_pictures(root, split, pictures)
    folder = root.parent / "unclassifiable" / "Train" / "green"
    folder.mkdir(parents=True)
    for number in range(6):
        cell = picture(sure("Monocyte", 5.0), tint=(20, 140, 60))
        (folder / f"{number}.png").write_bytes(encode_png(cell))
    return root


@pytest.fixture(scope="module")
def calibrated(toy_bundle: Bundle, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A copy of the toy bundle with everything fitted."""
    folder = tmp_path_factory.mktemp("calibrated") / "bundle"
    shutil.copytree(toy_bundle.path, folder)
    return calibrate(Bundle.load(folder), CalibrationConfig(data, degraded_images=2, view_images=3))


def test_the_temperature_makes_the_overconfident_modest(calibrated: Bundle, data: Path) -> None:
    manifest = calibrated.manifest
    logits = np.array([[6.0, 0, 0, 0, 0]] * 10)
    labels = np.array([0] * 9 + [1])
    assert negative_log_likelihood(logits, labels, manifest.temperature) < negative_log_likelihood(logits, labels)
    assert manifest.temperature > 1.5
    assert manifest.training is not None
    calibrated = manifest.training.calibrated
    assert calibrated["val_accuracy"] == 0.9
    assert calibrated["val_nll_after"] < calibrated["val_nll_before"]


def test_prior_and_views_are_fitted(calibrated: Bundle) -> None:
    manifest = calibrated.manifest
    assert manifest.label_prior == (0.2,) * 5
    # the brighter view saturates and the darker one falls: margins of the mean are a little smaller
    assert manifest.tta_temperature is not None
    assert 0.5 * manifest.temperature < manifest.tta_temperature < manifest.temperature
    assert 0.0 < manifest.tta_auto_confidence < 1.0


def test_cells_of_another_kind_are_unlike_training_and_known_ones_are_not(calibrated: Bundle, data: Path) -> None:
    pipeline, classifier = Pipeline(calibrated), OnnxClassifier(calibrated.onnx_path)
    strange = pipeline.analyze((data.parent / "unclassifiable" / "Train" / "green" / "0.png").read_bytes(), classifier)
    assert "unlike_training" in [reason.code for reason in strange.review]
    known = pipeline.analyze((data / "Val" / "Monocyte" / "005.png").read_bytes(), classifier)
    assert "unlike_training" not in [reason.code for reason in known.review]
    assert known.distance is not None
    assert strange.distance is not None
    assert known.distance < strange.distance


def test_pictures_as_they_are_pass_the_limits_of_quality(calibrated: Bundle, data: Path) -> None:
    pipeline, classifier = Pipeline(calibrated), OnnxClassifier(calibrated.onnx_path)
    for path in sorted((data / "Val").rglob("*.png"))[::5]:
        codes = [reason.code for reason in pipeline.analyze(path.read_bytes(), classifier).review]
        assert "poor_image" not in codes
    limits = calibrated.manifest.review
    assert limits.max_cells == 1
    assert None not in (limits.min_sharpness, limits.min_brightness, limits.min_contrast)


def test_the_statistics_are_a_file_of_the_bundle(calibrated: Bundle) -> None:
    assert "familiarity.npz" in calibrated.manifest.files
    assert calibrated.familiarity_path is not None
    assert calibrated.familiarity_path.stat().st_size < 100_000


def test_without_val_nothing_is_fitted(toy_bundle: Bundle, tmp_path: Path) -> None:
    write_pictures(tmp_path, "Train", {"Monocyte": [sure("Monocyte")]})
    with pytest.raises(DataError, match="no split 'Val'"):
        calibrate(toy_bundle, CalibrationConfig(tmp_path))
