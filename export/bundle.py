"""Export of a training run as a bundle: round the weights, convert, compare, calibrate, write."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import keras

from evaluation.calibrate import CalibrationConfig, calibrate
from export.options import ExportOptions
from export.parity import check_parity
from export.to_onnx import OPSET, round_to_half, to_onnx
from wbc.adaptation.review import ReviewThresholds
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
from wbc.data.dataset import VAL, prepare_all, read_split
from wbc.errors import ExportError
from wbc.inference import OnnxClassifier
from wbc.labels import CLASSES
from wbc.nn.backbones import BACKBONES, Backbone
from wbc.nn.classifier import ATTENTION, build_classifier
from wbc.preprocessing.pipeline import Preprocessor, probe
from wbc.run_record import TrainingRecord

PARITY_IMAGES_PER_CLASS = 8
PATHS = {"data_root", "results_dir", "cache_dir", "model_path"}
"""Fields of the training configuration that are left out of the manifest: folders of the machine it ran on."""

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
"""Training sources with a known licence, by folder name."""


def export_bundle(options: ExportOptions, *, backbone: Backbone | None = None) -> Bundle:
    """Write a bundle and load it.

    Files of an earlier bundle in the output folder are replaced once all checks have passed.

    Args:
        options: options of `wbc export`.
        backbone: network that the model was trained with; None takes the one that the run's record names.

    Raises:
        ExportError: the run's folder has no model or record.
        ParityError: the graph and the model differ; nothing is written.
        DataError: there is no `Val` split.
    """
    for name in (KERAS, "training.json"):
        if not (options.run / name).is_file():
            raise ExportError(f"{options.run} has no {name}; expected the results folder of `wbc train`")
    record = TrainingRecord.model_validate_json((options.run / "training.json").read_bytes())
    preprocessor = Preprocessor(record.preprocessing)
    trained = keras.saving.load_model(options.run / KERAS, compile=False)
    reduction = int(record.config.get("input_reduction", 1))
    features = backbone or BACKBONES[record.config["backbone"]]
    model = build_classifier(record.preprocessing.size, features, input_reduction=reduction)
    model.set_weights(trained.get_weights())
    if options.half:
        round_to_half(model)
    per_class = min(options.limit or PARITY_IMAGES_PER_CLASS, PARITY_IMAGES_PER_CLASS)
    images = prepare_all(read_split(options.data_root, VAL, per_class), preprocessor, record.preprocessing.size)
    with tempfile.TemporaryDirectory() as temporary:
        staging = Path(temporary)
        model.save(staging / KERAS)
        _deflate(staging / KERAS)
        to_onnx(model, staging / ONNX)
        parity = check_parity(model, OnnxClassifier(staging / ONNX), images)
        files = {name: sha256(staging / name) for name in (KERAS, ONNX)}
        write_manifest(staging, _make_manifest(options, record, parity, files))
        fitted = CalibrationConfig(options.data_root, sources=tuple(record.config["source"]), limit=options.limit)
        manifest = calibrate(Bundle.load(staging), fitted).manifest
        options.output.mkdir(parents=True, exist_ok=True)
        for old in (MANIFEST, *GRAPHS.values(), KERAS, FAMILIARITY, "MODEL_CARD.md", "evaluation.json"):
            (options.output / old).unlink(missing_ok=True)
        for name in manifest.files:
            shutil.copyfile(staging / name, options.output / name)
        write_manifest(options.output, manifest)
    return Bundle.load(options.output)


def _make_manifest(
    options: ExportOptions, record: TrainingRecord, parity: dict[str, float], files: dict[str, str]
) -> Manifest:
    """Return the manifest before calibration: temperature 1, no image is flagged."""
    training = record.model_dump(mode="json", exclude={"preprocessing"})
    training["config"] = {name: value for name, value in training["config"].items() if name not in PATHS}
    training["config"]["weights"] = Path(training["config"]["weights"]).name
    training["exported"] = {"weights": "rounded to half precision" if options.half else "single precision"}
    return Manifest(
        name=options.name,
        version=options.bundle_version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=CLASSES,
        preprocessing=record.preprocessing,
        preprocessing_probe=probe(Preprocessor(record.preprocessing)),
        temperature=1.0,
        foreign_temperature=record.left_out.get("temperature"),
        cell_size=record.left_out.get("cell_size"),
        tta=options.tta,
        review=ReviewThresholds(min_confidence=0.0),
        gradcam_layer=ATTENTION,
        opset=OPSET,
        parity=parity,
        training=BundleTraining.model_validate(training),
        data=_describe_sources(record),
        versions={
            name: version(name) for name in ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime-gpu", "numpy")
        },
        files=files,
    )


def _describe_sources(record: TrainingRecord) -> DataSource:
    """Return the sources of a run as one entry; the licence of a folder that is not in `SOURCES` is `not stated`."""
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
