"""A `.keras` file is evaluated as it stands, before any export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.model import load_model
from tests.evaluation.toy import SIZE, picture, sure
from wbc.adaptation.calibration import probabilities
from wbc.errors import BundleMissing
from wbc.images import encode_png


def test_an_untrained_network_answers_what_keras_computes(tmp_path: Path) -> None:
    import keras

    from tests.conftest import tiny
    from wbc.nn.classifier import build_classifier

    keras.utils.set_random_seed(0)
    network = build_classifier(SIZE, tiny)
    network.save(tmp_path / "model.keras")
    model = load_model(tmp_path / "model.keras")
    assert not model.calibrated
    analysis = model.pipeline.analyze(encode_png(picture(sure("Monocyte"))), model.classifier)
    logits = network(analysis.prepared.model_input[None], training=False)["main_out"]
    assert analysis.probabilities == pytest.approx(probabilities(np.asarray(logits)[0]), abs=1e-5)
    assert "low_confidence" not in [reason.code for reason in analysis.review], "nothing was fitted"


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleMissing, match=r"no file .*; a bundle's folder or a .keras file is accepted"):
        load_model(tmp_path / "absent.keras")
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(BundleMissing, match="is no Keras model"):
        load_model(tmp_path / "text.keras")
    with pytest.raises(BundleMissing, match=r"no manifest\.json"):
        load_model(tmp_path / "absent")
