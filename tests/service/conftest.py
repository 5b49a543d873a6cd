"""Really served processes: `bentoml serve`, spoken to over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.served import Served
from wbc.bundle import Bundle, sha256, write_manifest


@pytest.fixture(scope="session")
def failing_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with correct hashes whose graph returns NaN logits."""
    folder = tmp_path_factory.mktemp("failing")
    for file in tiny_bundle.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    graph = onnx.load(folder / "model.onnx")
    last = next(n for n in reversed(graph.graph.node) if n.op_type == "Identity" and n.output[0] == "logits")
    poison = numpy_helper.from_array(np.full(5, np.nan, np.float32), "poison")
    graph.graph.initializer.append(poison)
    last.op_type = "Add"
    last.input.append("poison")
    onnx.save(graph, str(folder / "model.onnx"))
    manifest = Bundle.load(tiny_bundle).manifest
    files = {**manifest.files, "model.onnx": sha256(folder / "model.onnx")}
    write_manifest(folder, manifest.model_copy(update={"files": files}))
    return folder


@pytest.fixture(scope="session")
def failing_server(failing_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Server with a failing model that admits one request at a time and has a short upload timeout."""
    with Served(
        tmp_path_factory.mktemp("failing-server"),
        WBC_BUNDLE=str(failing_bundle),
        WBC_GRADCAM="false",
        WBC_MAX_CONCURRENCY="1",
        WBC_MAX_UPLOADS="2",
        WBC_UPLOAD_TIMEOUT_S="3",
        WBC_MAX_BODY_BYTES="200000",
        WBC_REQUEST_TIMEOUT_S="20",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def operated_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server as an operator would set one up, whose language model is away; its log and metrics are its own."""
    folder = tmp_path_factory.mktemp("operated")
    with Served(
        folder,
        BENTOML_HOME=str(folder / "bentoml"),
        WBC_GRADCAM="false",
        WBC_TTA="light",
        WBC_CORS_ORIGINS="https://lab.example",
        WBC_OPENAI_PRESET="local",
        WBC_OPENAI_BASE_URL="http://127.0.0.1:9/v1",
        WBC_API_KEY="open sesame",
    ) as server:
        yield server
