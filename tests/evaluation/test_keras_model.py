"""Evaluation of a `.keras` file before export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.model import is_exported, load_analyzer
from tests.evaluation.toy import SIZE, picture, sure
from wbc.adaptation.calibration import probabilities
from wbc.errors import BundleMissing
from wbc.images import encode_png


def test_an_untrained_network_predicts_what_keras_computes(tmp_path: Path) -> None:
    import keras

    from tests.conftest import tiny
    from wbc.nn.classifier import build_classifier

    keras.utils.set_random_seed(0)
    network = build_classifier(SIZE, tiny)
    network.save(tmp_path / "model.keras")
    analyzer = load_analyzer(tmp_path / "model.keras")
    assert not is_exported(analyzer.bundle)
    analysis = analyzer.analyze(encode_png(picture(sure("Monocyte"))))
    logits = network(analysis.prepared.model_input[None], training=False)["main_out"]
    assert analysis.probabilities == pytest.approx(probabilities(np.asarray(logits)[0]), abs=1e-5)
    assert "low_confidence" not in [reason.code for reason in analysis.review], "nothing was fitted"


def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleMissing, match=r"no file .*; a bundle's folder or a .keras file is accepted"):
        load_analyzer(tmp_path / "absent.keras")
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(BundleMissing, match="is not a Keras model"):
        load_analyzer(tmp_path / "text.keras")
    with pytest.raises(BundleMissing, match=r"no manifest\.json"):
        load_analyzer(tmp_path / "absent")
