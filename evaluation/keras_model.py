"""A `.keras` file as the model that is evaluated: before export, or to see what export changed. Imports TensorFlow."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from evaluation.asking import Classifier
from evaluation.model import Model
from wbc.adaptation.review import ReviewThresholds
from wbc.bundle import MANIFEST, Bundle, DataSource, Manifest
from wbc.errors import BundleMissing
from wbc.inference import Outputs
from wbc.labels import CLASSES
from wbc.nn import classifier as _layers
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor, probe
from wbc.run_record import TrainingRecord
from wbc.saliency.closed_form import class_activation_maps, serving_outputs


def load_keras(path: Path) -> Model:
    """Load a `.keras` file with the manifest, or else the training record, that lies beside it.

    Without a manifest nothing was fitted: the temperature is 1 and no answer is flagged for its confidence.

    Raises:
        BundleMissing: no such file, or it is no Keras model.
    """
    if not path.is_file():
        raise BundleMissing(f"no file {path}; a bundle's folder or a .keras file is accepted")
    try:
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        raise BundleMissing(f"{path} is no Keras model: {error}") from error
    if (path.parent / MANIFEST).is_file():
        return Model(Bundle.load(path.parent), _forward(model))
    record = path.parent / "training.json"
    preprocessing, reduction = Preprocessing(size=model.input_shape[1]), 1
    if record.is_file():
        trained = TrainingRecord.model_validate_json(record.read_bytes())
        preprocessing, reduction = trained.preprocessing, int(trained.config.get("input_reduction", 1))
    if preprocessing.size != model.input_shape[1]:  # trained small, served at full size, as export does
        small, model = model, _layers.build_classifier(preprocessing.size, input_reduction=reduction)
        model.set_weights(small.get_weights())
    return Model(Bundle(path.parent, _manifest(path, preprocessing)), _forward(model), calibrated=False)


def _forward(model: keras.Model) -> Classifier:
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
