"""`wbc predict`: arguments, exit codes, words, JSON, and that it needs neither a server nor TensorFlow."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.drawn import drawn_cell
from wbc.cli import main
from wbc.images import decode, encode_jpeg, encode_png
from wbc.labels import CLASSES


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three cells, one of them deeper and one with an ending in capitals, and a note."""
    folder, rng = tmp_path_factory.mktemp("cells"), np.random.default_rng(11)
    (folder / "deeper").mkdir()
    (folder / "a.png").write_bytes(encode_png(drawn_cell("Lymphocyte", rng)))
    (folder / "b.JPG").write_bytes(encode_jpeg(drawn_cell("Eosinophil", rng)))
    (folder / "deeper" / "c.png").write_bytes(encode_png(drawn_cell("Monocyte", rng)))
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory, cells: Path) -> Path:
    """A folder of files that cannot be read."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "words.jpg").write_text("These are words.")
    (folder / "cut.png").write_bytes((cells / "a.png").read_bytes()[:5000])
    (folder / "empty.png").write_bytes(b"")
    return folder


def run(bundle: Path, *args: Any) -> Result:
    return CliRunner().invoke(main, ["predict", "--bundle", str(bundle), *map(str, args)])


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        pytest.param(["{cells}/a.png"], 0, ["a.png", "%", "research use"], id="one image"),
        pytest.param(["{cells}/a.png", "{cells}/b.JPG"], 0, ["a.png", "b.JPG"], id="two images"),
        pytest.param(["{cells}"], 0, ["a.png", "b.JPG", "c.png"], id="a folder, and what lies below it"),
        pytest.param(["{cells}/a.png", "--language", "tr"], 0, ["araştırma"], id="Turkish"),
        pytest.param(["{cells}/a.png", "--no-report"], 0, ["a.png"], id="no report"),
        pytest.param(["{bad}/words.jpg"], 1, ["another format", "[unsupported_format]"], id="words named .jpg"),
        pytest.param(["{bad}/cut.png"], 1, ["damaged or truncated", "[malformed_image]"], id="an image cut off"),
        pytest.param(["{bad}/empty.png"], 1, ["empty file", "[unsupported_format]"], id="nothing in it"),
        pytest.param(
            ["{bad}/cut.png", "{cells}/a.png"], 1, ["[malformed_image]", "a.png"], id="a bad one beside a good"
        ),
        pytest.param(["{bad}", "{cells}"], 1, ["words.jpg", "cut.png", "c.png"], id="a folder of bad ones"),
        pytest.param([], 2, ["Missing argument 'IMAGES...'"], id="no image"),
        pytest.param(["nowhere.png"], 2, ["'nowhere.png' does not exist"], id="no such file"),
        pytest.param(["{cells}/a.png", "--language", "fr"], 2, ["'fr' is not one of 'en', 'tr'"], id="other language"),
        pytest.param(["{cells}/a.png", "--fast"], 2, ["No such option"], id="unknown option"),
        pytest.param(["--help"], 0, ["Classify IMAGES", "--json"], id="help"),
    ],
)
def test_table(tiny_bundle: Path, cells: Path, bad: Path, args: list[str], code: int, words: list[str]) -> None:
    result = run(tiny_bundle, *(arg.format(cells=cells, bad=bad) for arg in args))
    assert result.exit_code == code, result.output
    for word in words:
        assert word in result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


class TestWords:
    def test_class_confidence_and_report_of_each(self, tiny_bundle: Path, cells: Path) -> None:
        result = run(tiny_bundle, cells / "a.png")
        first, *rest = result.stdout.splitlines()
        assert first.split()[0] in CLASSES
        assert str(cells / "a.png") in first  # never wrapped, so that it can be searched
        assert any("research use" in line for line in rest)

    def test_without_a_report_there_is_a_line_an_image(self, tiny_bundle: Path, cells: Path) -> None:
        lines = run(tiny_bundle, cells, "--no-report").stdout.splitlines()
        named = [line for line in lines if not line.startswith("  ")]
        assert len(named) == 3
        assert not any("research use" in line for line in lines)

    def test_reasons_for_review_are_told(self, tiny_bundle: Path, tmp_path: Path) -> None:
        (tmp_path / "blank.png").write_bytes(encode_png(np.full((64, 64, 3), 235, np.uint8)))
        result = run(tiny_bundle, tmp_path / "blank.png")
        assert result.exit_code == 0
        assert "review" in result.stdout.splitlines()[0]
        assert "No cell could be outlined" in result.stdout

    def test_complaints_go_to_the_other_stream(self, tiny_bundle: Path, cells: Path, bad: Path) -> None:
        result = run(tiny_bundle, bad / "words.jpg", cells / "a.png")
        assert "words.jpg" in result.stderr
        assert "words.jpg" not in result.stdout
        assert "a.png" in result.stdout


class TestJson:
    def test_is_what_http_answers(self, tiny_bundle: Path, cells: Path) -> None:
        result = run(tiny_bundle, cells / "a.png", "--json")
        (answer,) = json.loads(result.stdout)
        assert answer["file"] == str(cells / "a.png")
        assert {
            "class",
            "confidence",
            "all_probabilities",
            "gradcam_image",
            "llm_report",
            "report",
            "runner_up",
            "review",
            "focus",
            "model",
            "timings_ms",
        } <= set(answer)
        assert answer["class"] == max(answer["all_probabilities"], key=answer["all_probabilities"].__getitem__)
        assert answer["report"]["provider"] == "rules"
        assert answer["llm_report"] == answer["report"]["text"]
        assert answer["model"]["name"] == "tiny"

    def test_picture_in_it_is_a_png(self, tiny_bundle: Path, cells: Path) -> None:
        (answer,) = json.loads(run(tiny_bundle, cells / "a.png", "--json", "--no-report").stdout)
        assert decode(base64.b64decode(answer["gradcam_image"], validate=True)).shape == (224, 224, 3)
        assert answer["report"] is None

    def test_bad_file_beside_a_good_one(self, tiny_bundle: Path, cells: Path, bad: Path) -> None:
        result = run(tiny_bundle, bad / "words.jpg", cells / "a.png", "--json")
        assert result.exit_code == 1
        wrong, right = json.loads(result.stdout)
        assert set(wrong) == {"file", "error", "code"}
        assert (wrong["file"], wrong["code"]) == (str(bad / "words.jpg"), "unsupported_format")
        assert right["class"] in CLASSES

    def test_same_answer_as_without_it(self, tiny_bundle: Path, cells: Path) -> None:
        said = run(tiny_bundle, cells / "a.png", "--no-report").stdout.split()
        (answer,) = json.loads(run(tiny_bundle, cells / "a.png", "--json").stdout)
        assert said[0] == answer["class"]
        assert said[1] == f"{answer['confidence']:.1%}"


class TestBundle:
    def test_taken_from_the_environment(self, tiny_bundle: Path, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from wbc.settings import settings

        monkeypatch.setenv("WBC_BUNDLE", str(tiny_bundle))
        settings.cache_clear()
        try:
            result = CliRunner().invoke(main, ["predict", str(cells / "a.png"), "--json"])
        finally:
            settings.cache_clear()
        assert json.loads(result.stdout)[0]["model"]["name"] == "tiny"

    def test_missing(self, cells: Path, tmp_path: Path) -> None:
        result = run(tmp_path / "nowhere", cells / "a.png")
        assert result.exit_code == 1
        assert "written by `wbc export`" in result.output
        assert "[bundle_missing]" in result.output

    def test_corrupted(self, cells: Path, tmp_path: Path) -> None:
        (tmp_path / "manifest.json").write_text("words")
        result = run(tmp_path, cells / "a.png")
        assert result.exit_code == 1
        assert "[bundle_corrupted]" in result.output


LOADED = "import sys; print(sorted({name.split('.')[0] for name in sys.modules} & {'tensorflow', 'keras', 'jax'}))"


class TestLight:
    """Modules that must load without TensorFlow and Keras, each in a process of its own."""

    def loaded(self, code: str, *args: str) -> str:
        done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    def test_predict(self, tiny_bundle: Path, cells: Path) -> None:
        code = f"from wbc.cli import main; main(standalone_mode=False); {LOADED}"
        assert self.loaded(code, "predict", "--bundle", str(tiny_bundle), str(cells / "a.png")) == "[]"

    def test_what_the_service_needs_to_classify(self) -> None:
        modules = ["wbc.analysis", "wbc.http", "wbc.schemas", "wbc.inference", "wbc.explain.explainer", "wbc.cli"]
        assert self.loaded(f"import {', '.join(modules)}; {LOADED}") == "[]"

    def test_list_of_commands(self) -> None:
        code = [
            "import contextlib",
            "from wbc.cli import main",
            "with contextlib.suppress(SystemExit): main(['--help'])",
        ]
        assert self.loaded("\n".join([*code, LOADED])) == "[]"

    def test_the_library_itself_loads_nothing(self) -> None:
        assert self.loaded(f"import wbc; {LOADED.replace('tensorflow', 'numpy')}") == "[]"
