"""Settings of the process apply to `wbc evaluate` and `wbc calibrate`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluation.config import EvaluationConfig
from evaluation.evaluate import evaluate
from tests.evaluation.toy import write_toy_bundle
from wbc.bundle import GRAPHS, ONNX, Bundle, sha256, write_manifest
from wbc.cli import main
from wbc.settings import settings


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The toy bundle with its graph a second time, as int8."""
    bundle = write_toy_bundle(tmp_path / "bundle")
    name = GRAPHS["int8"]
    shutil.copyfile(bundle.path / ONNX, bundle.path / name)
    files = {**bundle.manifest.files, name: sha256(bundle.path / name)}
    write_manifest(bundle.path, bundle.manifest.model_copy(update={"files": files}))
    return Bundle.load(bundle.path)


@pytest.fixture
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    name, value = request.param
    monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize("environment", [("WBC_GRAPH", "int8")], indirect=True)
@pytest.mark.usefixtures("environment")
def test_the_graph_is_recorded(bundle: Bundle, toy_data: Path, tmp_path: Path) -> None:
    config = EvaluationConfig(bundle.path, toy_data, tmp_path / "out", splits=("TestA",), limit=1, rejection=False)
    result = evaluate(config)
    assert (result.settings["graph"], result.settings["as_served"]) == ("int8", True)
    assert "Graph: int8" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (("WBC_GRAPH", "int8"), "the evaluation is of the int8 graph"),
        (("WBC_TTA", "light"), "of other settings than the bundle's"),
    ],
    indirect=["environment"],
)
@pytest.mark.usefixtures("environment")
def test_other_settings_are_not_written_into_the_bundle(
    message: str, bundle: Bundle, toy_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    folders = ["--model-path", str(bundle.path), "--data-root", str(toy_data), "--output-dir", str(out)]
    run = CliRunner().invoke(main, ["evaluate", "--write-bundle", *folders])
    assert run.exit_code == 1
    assert message in run.output
    assert not out.exists(), "refused before the evaluation"
    assert not (bundle.path / "evaluation.json").exists()


@pytest.mark.parametrize("environment", [("WBC_GRAPH", "int8")], indirect=True)
@pytest.mark.usefixtures("environment")
def test_only_fp32_is_calibrated(bundle: Bundle, toy_data: Path) -> None:
    run = CliRunner().invoke(main, ["calibrate", str(bundle.path), "--data-root", str(toy_data)])
    assert run.exit_code == 1
    assert "WBC_GRAPH is int8" in run.output
