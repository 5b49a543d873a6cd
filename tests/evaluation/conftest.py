"""Two test sets whose every answer is written down here, and their evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.config import EvaluationConfig
from evaluation.evaluate import Evaluation, evaluate
from tests.evaluation.toy import sure, write_pictures, write_toy_bundle
from wbc.bundle import Bundle
from wbc.labels import CLASSES

ANSWERS = {
    "TestA": {
        "Basophil": ["Basophil", "Basophil"],
        "Eosinophil": ["Eosinophil", "Neutrophil"],
        "Lymphocyte": ["Lymphocyte", "Lymphocyte", "Monocyte"],
        "Monocyte": ["Monocyte"],
        "Neutrophil": ["Neutrophil", "Neutrophil", "Neutrophil", "Neutrophil"],
    },
    # Two of the classes are absent, and a third is answered though it is absent.
    "TestB-other": {
        "Lymphocyte": ["Lymphocyte", "Lymphocyte", "Neutrophil"],
        "Neutrophil": ["Neutrophil", "Neutrophil", "Eosinophil", "Lymphocyte"],
        "Monocyte": ["Monocyte"],
    },
}
"""Predictions for the images of each true class."""


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle that reads its logits from the picture; not to be written to."""
    return write_toy_bundle(tmp_path_factory.mktemp("toy") / "bundle")


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sets of `ANSWERS`, each answer sure except the last of each class, and a file that is no image.

    Where the answer is wrong, the truth is the runner-up.
    """

    def logits(truth: str, answer: str, margin: float) -> list[float]:
        return [max(value, float(name == truth)) for name, value in zip(CLASSES, sure(answer, margin), strict=True)]

    root = tmp_path_factory.mktemp("data") / "smears"
    for split, classes in ANSWERS.items():
        pictures = {
            truth: [logits(truth, label, 8.0 if n + 1 < len(labels) else 2.0) for n, label in enumerate(labels)]
            for truth, labels in classes.items()
        }
        write_pictures(root, split, pictures)
    (root / "TestA" / "Basophil" / "broken.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="session")
def evaluation(toy_bundle: Bundle, toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """The toy bundle's evaluation, with the declared label set of the main head."""
    return evaluate(
        EvaluationConfig(
            toy_bundle.path, toy_data, tmp_path_factory.mktemp("evaluation"), binary_mode="main", rejection=False
        )
    )
