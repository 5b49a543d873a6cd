"""Exports: CSV, JSON and the printed report, each with the reader's decisions."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import pytest

from wbc.labels import CLASSES

from .page import Page


@pytest.fixture
def decided(page: Page, images: dict[str, Path], bad_files: list[Path]) -> Page:
    """Four cells, one of them corrected and one still for review, and a file that was refused."""
    names = ["Neutrophil-00", "Lymphocyte-00", "doubtful-Monocyte", "doubtful-Neutrophil"]
    page.choose([*(images[name] for name in names), bad_files[0]])
    page.wait_settled()
    page.cells(name="doubtful-Monocyte.png")[0].click()
    page.press("1")
    return page


def downloaded(page: Page, folder: Path, testid: str, suffix: str) -> str:
    """The text that a click on an export button downloads."""
    before = set(folder.iterdir())
    page.get(testid).click()

    def new() -> list[Path]:
        return [path for path in set(folder.iterdir()) - before if path.suffix == suffix and path.stat().st_size]

    page.wait(f"a {suffix} file", new)
    time.sleep(0.1)
    (path,) = new()
    text = path.read_text(encoding="utf-8-sig")
    path.unlink()
    return text


def test_csv_holds_model_and_reader(decided: Page, downloads: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(downloaded(decided, downloads, "export-csv", ".csv"))))
    by_name = {row["file"]: row for row in rows}
    assert len(rows) == 5
    corrected = by_name["doubtful-Monocyte.png"]
    assert [corrected[key] for key in ("model_class", "reader_class", "class")] == ["Monocyte", "Basophil", "Basophil"]
    assert corrected["standing"] == "corrected"
    assert corrected["review_reasons"] == "low_confidence"
    assert float(corrected["confidence"]) == pytest.approx(0.52)
    assert sum(float(corrected[f"p_{name.lower()}"]) for name in CLASSES) == pytest.approx(1)
    assert corrected["model_version"] == "1.0.0"
    assert by_name["doubtful-Neutrophil.png"]["standing"] == "review"
    assert by_name["Lymphocyte-00.png"]["standing"] == "model"
    assert by_name["words.jpg"]["standing"] == "failed"
    assert by_name["words.jpg"]["error_code"] == "unsupported_format"


def test_csv_never_begins_a_formula(page: Page, images: dict[str, Path], downloads: Path, tmp_path: Path) -> None:
    names = ["=2+5,Neutrophil.png", "Neutrophil.png"]
    for name in names:
        (tmp_path / name).write_bytes(images["Neutrophil-00"].read_bytes())
    page.choose([tmp_path / name for name in names])
    page.wait_settled()
    rows = list(csv.DictReader(io.StringIO(downloaded(page, downloads, "export-csv", ".csv"))))
    assert rows[0]["file"] == "'=2+5,Neutrophil.png"


def test_json_holds_the_differential_and_its_state(decided: Page, downloads: Path) -> None:
    exported = json.loads(downloaded(decided, downloads, "export-json", ".json"))
    assert exported["state"] == "preliminary"
    assert exported["differential"]["counted"] == 3
    assert exported["differential"]["awaiting_review"] == 1
    classes = {entry["class"]: entry for entry in exported["differential"]["classes"]}
    assert {name: entry["count"] for name, entry in classes.items()} == {
        "Basophil": 1, "Eosinophil": 0, "Lymphocyte": 1, "Monocyte": 0, "Neutrophil": 1,
    }  # fmt: skip
    assert classes["Neutrophil"]["interval_percent"] == [0.84, 90.57]
    assert exported["model"]["name"] == "stub"
    assert "research use" in exported["statement"]
    reader = {cell["file"]: cell["reader_class"] for cell in exported["cells"]}
    assert reader["doubtful-Monocyte.png"] == "Basophil"


def test_printed_report_replaces_the_page(decided: Page) -> None:
    decided.run("window.print = () => { window.printed = true }")
    decided.get("export-print").click()
    decided.wait("the print dialog", lambda: decided.run("return window.printed"))
    decided.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    printed = decided.get("printed")
    assert printed.is_displayed()
    assert decided.get("drop-zone").is_displayed() is False
    words = printed.text
    assert "Preliminary" in words
    assert "1 cell awaits review" in words
    assert "For review (1)" in words
    assert "BA · Corrected by reader" in words
    assert "For research use only" in words
    assert len(printed.find_elements("css selector", "img")) == 4
