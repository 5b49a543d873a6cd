"""Analyzer of a `.keras` file: evaluates a model before export, or shows the effect of export. Imports TensorFlow."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from wbc.adaptation.review import ReviewThresholds
from wbc.analyzer import Analyzer, Classifier
from wbc.bundle import MANIFEST, Bundle, DataSource, Manifest
from wbc.errors import BundleMissing
from wbc.inference import Outputs
from wbc.labels import CLASSES
from wbc.nn import classifier as _layers
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor, probe
from wbc.run_record import TrainingRecord
from wbc.saliency.closed_form import class_activation_maps, serving_outputs
from wbc.settings import settings


def load_keras(path: Path) -> Analyzer:
    """Load a `.keras` file with the manifest in its folder, or else with the training record there.

    Without a manifest nothing is fitted: the temperature is 1 and no image is flagged for its confidence.

    Raises:
        BundleMissing: the file does not exist or is not a Keras model.
    """
    if not path.is_file():
        raise BundleMissing(f"no file {path}; a bundle's folder or a .keras file is accepted")
    try:
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        raise BundleMissing(f"{path} is not a Keras model: {error}") from error
    if (path.parent / MANIFEST).is_file():
        bundle = Bundle.load(path.parent)
    else:
        record = path.parent / "training.json"
        preprocessing, reduction = Preprocessing(size=model.input_shape[1]), 1
        if record.is_file():
            trained = TrainingRecord.model_validate_json(record.read_bytes())
            preprocessing, reduction = trained.preprocessing, int(trained.config.get("input_reduction", 1))
        if preprocessing.size != model.input_shape[1]:  # trained small, served at full size, as export does
            small, model = model, _layers.build_classifier(preprocessing.size, input_reduction=reduction)
            model.set_weights(small.get_weights())
        bundle = Bundle(path.parent, _manifest(path, preprocessing))
    return Analyzer(bundle.with_tta(settings().tta), _classifier(model))


def _classifier(model: keras.Model) -> Classifier:
    served = serving_outputs(model)

    def classify(views: NDArray[np.uint8]) -> Outputs:
        outputs = served(ops.convert_to_tensor(views), training=False)
        maps = class_activation_maps(model, outputs["attended"])
        tensors = (outputs["logits"], outputs["aux_logit"], outputs["embedding"], maps)
        return Outputs(*(np.asarray(ops.convert_to_numpy(tensor), np.float32) for tensor in tensors))

    return classify


def _manifest(path: Path, preprocessing: Preprocessing) -> Manifest:
    unknown = DataSource(name="not recorded", licence="not recorded", citation="not recorded")
    return Manifest(
        name=path.stem,
        version="not exported",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=CLASSES,
        preprocessing=preprocessing,
        preprocessing_probe=probe(Preprocessor(preprocessing)),
        temperature=1.0,
        review=ReviewThresholds(min_confidence=0.0),
        gradcam_layer=_layers.ATTENTION,
        opset=0,
        parity={},
        data=unknown,
        versions={},
        files={},
    )
