"""`wbc differential`: a folder of cells to a differential count, with cells for review listed separately."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.evaluation.toy import picture, sure, write_toy_bundle
from wbc.bundle import Bundle
from wbc.cli.differential import differential
from wbc.images import encode_png


@pytest.fixture(scope="module")
def toy_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Toy bundle with one view."""
    return write_toy_bundle(tmp_path_factory.mktemp("toy") / "bundle")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight cells of three classes, one of low confidence, one damaged file and one that is not an image."""
    folder = tmp_path_factory.mktemp("film")
    for number, label in enumerate(["Neutrophil"] * 5 + ["Lymphocyte"] * 2 + ["Monocyte"]):
        (folder / f"{number}.png").write_bytes(encode_png(picture(sure(label))))
    (folder / "unsure.png").write_bytes(encode_png(picture(sure("Basophil", 1.0))))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def run(*arguments: object) -> str:
    """Run the command and return its output."""
    result = CliRunner().invoke(differential, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_holds_counts_intervals_and_what_waits(film: Path, toy_bundle: Bundle) -> None:
    found = json.loads(run(film, "--bundle", toy_bundle.path, "--format", "json"))
    assert (found["counted"], found["for_review"]) == (8, 2)
    assert {share["label"]: share["count"] for share in found["shares"]} == {
        "Basophil": 0,
        "Eosinophil": 0,
        "Lymphocyte": 2,
        "Monocyte": 1,
        "Neutrophil": 5,
    }
    neutrophils = found["shares"][4]
    assert neutrophils["percent"] == 62.5
    assert (round(neutrophils["low"], 1), round(neutrophils["high"], 1)) == (24.5, 91.5)
    broken, unsure = found["review"]
    assert (broken["file"], broken["index"], broken["suggestion"], broken["confidence"]) == (
        "broken.png",
        8,
        None,
        None,
    )
    assert (unsure["file"], unsure["suggestion"], unsure["reasons"]) == ("unsure.png", "Basophil", ["low_confidence"])


def test_csv_has_a_row_a_class_and_one_for_review(film: Path, toy_bundle: Bundle) -> None:
    rows = list(csv.DictReader(io.StringIO(run(film, "--bundle", toy_bundle.path, "--format", "csv"))))
    assert [row["class"] for row in rows][-2:] == ["Neutrophil", "for review"]
    assert (rows[4]["count"], rows[4]["percent"], rows[4]["reference_low"]) == ("5", "62.50", "40.0")
    assert rows[5]["count"] == "2"


def test_text_lists_cells_for_review_apart_and_says_so(film: Path, toy_bundle: Bundle, tmp_path: Path) -> None:
    output = tmp_path / "count.txt"
    assert run(film, "--bundle", toy_bundle.path, "--output", output) == ""
    text = output.read_text()
    assert "8 cells counted, 2 for review" in text
    assert "not complete" in text
    assert text.index("Neutrophil") < text.index("for review, not counted:") < text.index("unsure.png: Basophil?")


def test_a_folder_without_images_is_a_usage_error(toy_bundle: Bundle, tmp_path: Path) -> None:
    result = CliRunner().invoke(differential, [str(tmp_path), "--bundle", str(toy_bundle.path)])
    assert result.exit_code == 2
    assert "no image file" in result.output
