"""Every command that predicts and the HTTP interface give the same class, probabilities and map for the same images."""

from __future__ import annotations

import base64
import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from export.quantize import quantize_int8
from tests.drawn import drawn_cell
from tests.served import Served
from wbc.analyzer import Analyzer, Forwarded
from wbc.bundle import GRAPHS, ONNX, Bundle, sha256, write_manifest
from wbc.cli import main
from wbc.files import list_images
from wbc.images import decode, encode_png
from wbc.labels import CLASSES
from wbc.preprocessing.pipeline import Preprocessor
from wbc.settings import REPOSITORY, settings

IMAGES = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty images: from another microscope if the data set is present, otherwise drawn cells."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(5)
    domain = settings().data_root / "TestB-lisc"
    real = list_images(domain)[0] if domain.is_dir() else []
    for number, path in enumerate(real[:: max(1, len(real) // 12)][:12]):
        (root / f"{number:02d}{path.suffix}").write_bytes(path.read_bytes())
    for number in range(len(list(root.iterdir())), IMAGES):
        (root / f"{number:02d}.png").write_bytes(encode_png(drawn_cell(CLASSES[number % 5], rng)))
    return root


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle with an int8 graph, which it offers itself only if that passed its gate."""
    shipped = Bundle.load(REPOSITORY / "models" / "default")
    if "int8" in shipped.graphs:
        return shipped.path
    copy = tmp_path_factory.mktemp("bundle") / "default"
    shutil.copytree(shipped.path, copy)
    preprocessor, rng = Preprocessor(shipped.manifest.preprocessing), np.random.default_rng(0)
    cells = [preprocessor(drawn_cell(label, rng)).model_input for label in CLASSES for _ in range(4)]
    name = GRAPHS["int8"]
    quantize_int8(copy / ONNX, copy / name, np.stack(cells))
    files = {**shipped.manifest.files, name: sha256(copy / name)}
    write_manifest(copy, shipped.manifest.model_copy(update={"files": files}))
    return copy


@pytest.fixture(scope="module", params=["fp32-none", "fp32-auto", "int8-none", "int8-auto"])
def setting(request: pytest.FixtureRequest, bundle: Path) -> Iterator[dict[str, str]]:
    """Environment of one setting, applied to this process."""
    graph, tta = request.param.split("-")
    environment = {"WBC_BUNDLE": str(bundle), "WBC_GRAPH": graph, "WBC_TTA": tta, "WBC_DEVICE": "cpu"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        settings.cache_clear()
        yield environment
    settings.cache_clear()


@pytest.fixture(scope="module")
def served(setting: dict[str, str], folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Body of `POST /predict/batch` for the images, and of `POST /predict` for each."""
    with Served(tmp_path_factory.mktemp("server"), WBC_GRADCAM="false", **setting) as server:
        paths = sorted(folder.iterdir())
        files = [("file", (path.name, path.read_bytes())) for path in paths]
        batch = httpx.post(f"{server.url}/predict/batch?heatmaps=true", files=files, timeout=120)
        singles = [
            httpx.post(f"{server.url}/predict?explain=false", files=[file], timeout=60).raise_for_status().json()
            for file in files
        ]
    return {"batch": batch.raise_for_status().json(), "singles": singles}


def run(*args: str | Path) -> str:
    """Run a command in this process and return its output."""
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exit_code == 0, result.output
    return result.stdout


def read_map(encoded: str) -> NDArray[np.float64]:
    """Decode a map, 8-bit grey."""
    return decode(base64.b64decode(encoded))[..., 0].astype(float)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare class, probabilities and map of two predictions."""
    assert found["class"] == expected["class"]
    assert found["all_probabilities"] == pytest.approx(expected["all_probabilities"], abs=1e-4)
    assert np.abs(read_map(found["heatmap_image"]) - read_map(expected["heatmap_image"])).max() <= 1
    assert found["review"] == expected["review"]


def test_some_images_are_unsure(setting: dict[str, str], folder: Path) -> None:
    found = [forwarded for _, forwarded in Analyzer.load().forward_many(sorted(folder.iterdir()))]
    views = {len(one.outputs.logits) for one in found if isinstance(one, Forwarded)}
    assert views == ({1, 8} if setting["WBC_TTA"] == "auto" else {1})


def test_batch(served: dict[str, Any]) -> None:
    for result, single in zip(served["batch"]["results"], served["singles"], strict=True):
        assert_same(result["prediction"], single)


def test_predict(served: dict[str, Any], folder: Path) -> None:
    for found, single in zip(json.loads(run("predict", "--json", folder)), served["singles"], strict=True):
        assert_same(found, single)


def test_gradcam(served: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    lines = run("gradcam", folder, "--output-dir", tmp_path).splitlines()
    for path, line, single in zip(sorted(folder.iterdir()), lines, served["singles"], strict=True):
        label, percent = line.removeprefix(f"{path}: ").split(",")[0].split()
        assert label == single["class"]
        assert float(percent[:-1]) == pytest.approx(100 * single["confidence"], abs=0.06)
        drawn = decode((tmp_path / f"{path.stem}.map.png").read_bytes())[..., 0].astype(float)
        assert np.abs(drawn - read_map(single["heatmap_image"])).max() <= 1


def test_differential(served: dict[str, Any], folder: Path) -> None:
    found, expected = json.loads(run("differential", folder, "--format", "json")), served["batch"]["differential"]
    assert [cell.pop("file") for cell in found["review"]] == [
        sorted(folder.iterdir())[cell["index"]].name for cell in expected["review"]
    ]
    for ours, theirs in zip(found["review"], expected["review"], strict=True):
        assert ours.pop("confidence") == pytest.approx(theirs.pop("confidence"), abs=2e-4)
    assert found == expected


def test_evaluate(served: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "data" / "TestA" / "Monocyte")
    run("evaluate", "--data-root", tmp_path / "data", "--output-dir", tmp_path / "out", "--no-rejection")
    with (tmp_path / "out" / "TestA" / "predictions.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row, single in zip(rows, served["singles"], strict=True):
        assert row["prediction"] == single["class"]
        probabilities = {label: float(row[f"p_{label}"]) for label in CLASSES}
        assert probabilities == pytest.approx(single["all_probabilities"], abs=1e-4)
        assert row["reasons"] == ";".join(reason["code"] for reason in single["review"]["reasons"])


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_score(engine: str, setting: dict[str, str], served: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    if find_spec("pyarrow" if engine == "local" else "ray") is None:
        pytest.skip(f"needs the packages of --engine {engine}")
    import pyarrow.parquet as pq

    command = ["score", str(folder), "--output", str(tmp_path / "out"), "--engine", engine, "--workers", "1"]
    if engine == "local":
        run(*command)
    else:  # in its own process, with which the cluster ends; one setting, as a cluster takes long to start
        if setting["WBC_GRAPH"] != "int8" or setting["WBC_TTA"] != "auto":
            pytest.skip("measured with int8 and auto only")
        wbc = Path(sys.executable).with_name("wbc")
        subprocess.run([wbc, *command], check=True, capture_output=True)
    rows = sorted(pq.read_table(tmp_path / "out").to_pylist(), key=lambda row: str(row["path"]))
    for row, single in zip(rows, served["singles"], strict=True):
        assert row["class"] == single["class"]
        probabilities = {label: row[f"probability_{label}"] for label in CLASSES}
        assert probabilities == pytest.approx(single["all_probabilities"], abs=1e-4)
        assert row["reasons"] == [reason["code"] for reason in single["review"]["reasons"]]
