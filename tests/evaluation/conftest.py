"""Two test splits with known predictions, and their evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.config import EvaluationConfig
from evaluation.evaluate import evaluate
from evaluation.results import EvaluationResult
from tests.evaluation.toy import sure, write_pictures, write_toy_bundle
from wbc.bundle import Bundle
from wbc.labels import CLASSES

PREDICTIONS = {
    "TestA": {
        "Basophil": ["Basophil", "Basophil"],
        "Eosinophil": ["Eosinophil", "Neutrophil"],
        "Lymphocyte": ["Lymphocyte", "Lymphocyte", "Monocyte"],
        "Monocyte": ["Monocyte"],
        "Neutrophil": ["Neutrophil", "Neutrophil", "Neutrophil", "Neutrophil"],
    },
    # Two classes are absent; one of them is predicted.
    "TestB-other": {
        "Lymphocyte": ["Lymphocyte", "Lymphocyte", "Neutrophil"],
        "Neutrophil": ["Neutrophil", "Neutrophil", "Eosinophil", "Lymphocyte"],
        "Monocyte": ["Monocyte"],
    },
}
"""Predicted classes of the pictures of each true class, by split."""


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that reads its logits from the picture; read-only."""
    return write_toy_bundle(tmp_path_factory.mktemp("toy") / "bundle")


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The splits of `PREDICTIONS`, with a confident prediction except for the last of each class, and a broken file.

    Where the prediction is wrong, the true class is the runner-up.
    """

    def logits(truth: str, predicted: str, margin: float) -> list[float]:
        return [max(value, float(name == truth)) for name, value in zip(CLASSES, sure(predicted, margin), strict=True)]

    root = tmp_path_factory.mktemp("data") / "smears"
    for split, classes in PREDICTIONS.items():
        pictures = {
            truth: [logits(truth, label, 8.0 if n + 1 < len(labels) else 2.0) for n, label in enumerate(labels)]
            for truth, labels in classes.items()
        }
        write_pictures(root, split, pictures)
    (root / "TestA" / "Basophil" / "broken.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="session")
def evaluation(toy_bundle: Bundle, toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> EvaluationResult:
    """The toy bundle's evaluation, with the declared label set of the main head."""
    return evaluate(
        EvaluationConfig(
            toy_bundle.path, toy_data, tmp_path_factory.mktemp("evaluation"), binary_mode="main", rejection=False
        )
    )
