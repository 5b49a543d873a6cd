"""A training run to a bundle: round, convert, compare, calibrate, write."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from evaluation.calibrate import CalibrationConfig, calibrate
from export.parity import check_parity
from export.to_onnx import OPSET, round_to_half, to_onnx
from wbc.adaptation.review import ReviewThresholds
from wbc.adaptation.tta import Mode
from wbc.bundle import (
    FAMILIARITY,
    GRAPHS,
    KERAS,
    MANIFEST,
    ONNX,
    Bundle,
    BundleTraining,
    DataSource,
    Manifest,
    sha256,
    write_manifest,
)
from wbc.data.dataset import Split, prepare_all, read_split
from wbc.errors import ExportError
from wbc.inference import OnnxClassifier
from wbc.labels import CLASSES
from wbc.nn.backbones import BACKBONES, Backbone
from wbc.nn.classifier import ATTENTION, build_classifier
from wbc.preprocessing.pipeline import Preprocessor, probe
from wbc.run_record import TrainingRecord

PARITY_IMAGES_A_CLASS = 8
PATHS = {"data_root", "results_dir", "cache_dir", "model_path"}

SOURCES = {
    "Train": DataSource(
        name="PBC (peripheral blood cell images), Hospital Clínic de Barcelona",
        licence="CC BY 4.0",
        citation="Acevedo et al., Data in Brief 30 (2020) 105474, doi 10.17632/snkd93bnjr.1",
    ),
    "Train-chula": DataSource(
        name="Chula (Chulalongkorn University, Bangkok)", licence="MIT", citation="singgihbekti/WBC_Dataset"
    ),
    "TestB-bccd": DataSource(name="BCCD", licence="MIT", citation="Shenggan/BCCD_Dataset"),
}
"""Training sources whose licence is known, by the name of their folder."""


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """An export.

    Attributes:
        run: folder of a training run, with `model.keras` and `training.json`.
        output: folder of the bundle; replaced as a whole once everything is checked.
        data_root: folder of the splits; `Val` calibrates and compares.
        name: the bundle's name.
        version: the bundle's version.
        source: what the model was trained on; None looks the sources of the run up in `SOURCES`.
        half: round the weights to half precision first.
        tta: views of an image.
        limit: `Val` images a class; 0 is all.
    """

    run: Path
    output: Path
    data_root: Path
    name: str = "densenet121-wbc"
    version: str = "1"
    source: DataSource | None = None
    half: bool = True
    tta: Mode = "none"
    limit: int = 0


def export_bundle(config: ExportConfig, *, backbone: Backbone | None = None) -> Bundle:
    """Write a bundle and load it back.

    Raises:
        ExportError: the run's folder has no model or record.
        ParityError: the graph does not compute what the model computes; nothing is written.
        DataError: there is no `Val` split.
    """
    for name in (KERAS, "training.json"):
        if not (config.run / name).is_file():
            raise ExportError(f"{config.run} has no {name}; expected the results folder of `wbc train`")
    record = TrainingRecord.model_validate_json((config.run / "training.json").read_bytes())
    preprocessor = Preprocessor(record.preprocessing)
    trained = keras.saving.load_model(config.run / KERAS, compile=False)
    reduction = int(record.config.get("input_reduction", 1))
    features = backbone or BACKBONES[record.config["backbone"]]
    model = build_classifier(record.preprocessing.size, features, input_reduction=reduction)
    model.set_weights(trained.get_weights())
    if config.half:
        round_to_half(model)
    compared = _spread(read_split(config.data_root, "Val", config.limit))
    images = prepare_all(compared, preprocessor, record.preprocessing.size)
    with tempfile.TemporaryDirectory() as temporary:
        staging = Path(temporary)
        model.save(staging / KERAS)
        _deflate(staging / KERAS)
        to_onnx(model, staging / ONNX)
        parity = check_parity(model, OnnxClassifier(staging / ONNX), images)
        files = {name: sha256(staging / name) for name in (KERAS, ONNX)}
        write_manifest(staging, _manifest(config, record, parity, files))
        fitted = CalibrationConfig(config.data_root, sources=tuple(record.config["source"]), limit=config.limit)
        manifest = calibrate(Bundle.load(staging), fitted).manifest
        config.output.mkdir(parents=True, exist_ok=True)
        for old in (MANIFEST, *GRAPHS.values(), KERAS, FAMILIARITY, "MODEL_CARD.md", "evaluation.json"):
            (config.output / old).unlink(missing_ok=True)
        for name in manifest.files:
            shutil.copyfile(staging / name, config.output / name)
        write_manifest(config.output, manifest)
    return Bundle.load(config.output)


def _spread(val: Split) -> Split:
    """A few images of each class, evenly spaced."""
    chosen = []
    for label in range(len(CLASSES)):
        positions = np.flatnonzero(val.labels == label)
        count = min(PARITY_IMAGES_A_CLASS, len(positions))
        chosen.append(positions[np.linspace(0, len(positions) - 1, count).astype(int)] if count else positions)
    return val.only(np.concatenate(chosen))


def _manifest(
    config: ExportConfig, record: TrainingRecord, parity: dict[str, float], files: dict[str, str]
) -> Manifest:
    """The manifest before anything is fitted on the graph: temperature 1, nothing flagged."""
    training = record.model_dump(mode="json", exclude={"preprocessing"})
    # Where a run lay on disk is nobody's business.
    training["config"] = {name: value for name, value in training["config"].items() if name not in PATHS}
    training["config"]["weights"] = Path(training["config"]["weights"]).name
    training["exported"] = {"weights": "rounded to half precision" if config.half else "single precision"}
    return Manifest(
        name=config.name,
        version=config.version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=CLASSES,
        preprocessing=record.preprocessing,
        preprocessing_probe=probe(Preprocessor(record.preprocessing)),
        temperature=1.0,
        foreign_temperature=record.left_out.get("temperature"),
        cell_size=record.left_out.get("cell_size"),
        tta=config.tta,
        review=ReviewThresholds(min_confidence=0.0),
        gradcam_layer=ATTENTION,
        opset=OPSET,
        parity=parity,
        training=BundleTraining.model_validate(training),
        data=config.source or _source_of(record),
        versions={
            name: version(name) for name in ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime-gpu", "numpy")
        },
        files=files,
    )


def _source_of(record: TrainingRecord) -> DataSource:
    """The sources of a run as one entry; a folder that is not in `SOURCES` is named with an unstated licence."""
    parts = [
        SOURCES.get(name, DataSource(name=name, licence="not stated", citation="not stated"))
        for name in record.config["source"]
    ]
    return DataSource(
        name="; ".join(part.name for part in parts),
        licence="; ".join(part.licence for part in parts),
        citation="; ".join(part.citation for part in parts),
    )


def _deflate(path: Path) -> None:
    """Compress a `.keras` archive, which Keras stores uncompressed."""
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED, 9)
