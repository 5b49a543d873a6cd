"""The server of these tests: a tiny model, no Keras, small limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import Served


@pytest.fixture(scope="package")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with at most 8 images in progress and an upload timeout of 3 seconds."""
    with Served(
        tmp_path_factory.mktemp("robustness"),
        WBC_BUNDLE=str(tiny_bundle),
        WBC_GRADCAM="false",
        WBC_THREADS="1",
        WBC_MAX_CONCURRENCY="8",
        WBC_UPLOAD_TIMEOUT_S="3",
    ) as running:
        yield running
