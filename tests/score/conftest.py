"""A bundle that reads its logits from the image, and images to score with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.toy import picture, sure, write_toy_bundle
from wbc.bundle import Bundle
from wbc.images import encode_png
from wbc.labels import CLASSES


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Bundle that reads its logits from the image, with adaptation `auto`; read-only."""
    folder = tmp_path_factory.mktemp("toy") / "bundle"
    return write_toy_bundle(folder, tta="auto", tta_auto_confidence=0.9)


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of each class in a folder per class, one of low confidence, and two unreadable files."""
    root = tmp_path_factory.mktemp("cells")
    for label in CLASSES:
        (root / label).mkdir()
        for number in range(6):
            (root / label / f"{number}.png").write_bytes(encode_png(picture(sure(label, 6.0 + 0.2 * number))))
    (root / "unsure.png").write_bytes(encode_png(picture(sure("Monocyte", 1.0))))
    (root / "broken.png").write_bytes(b"no image")
    (root / "gone.png").symlink_to(root / "nowhere")
    (root / "notes.txt").write_text("no image either")
    return root
