"""The served product: upload an image and read the result on the page in Chromium."""

from __future__ import annotations

from pathlib import Path

from wbc.labels import CLASSES

from .page import Page


def test_dropped_image_is_answered(served_page: Page, images: dict[str, Path]) -> None:
    page = served_page
    page.wait("the server's state", lambda: page.text("server-state") == "Ready")
    page.drop([images["Neutrophil-00"]])
    page.wait("the class", lambda: page.text("result-class") in CLASSES, 60)
    rows = page.all('[data-testid="probabilities"] li')
    shares = {row.get_attribute("data-class"): float(row.get_attribute("data-probability") or "nan") for row in rows}
    assert abs(sum(shares.values()) - 1) < 1e-3
    assert page.text("result-class") == max(shares, key=shares.__getitem__)
    assert page.text("result-confidence").endswith("%")
    page.wait("the map", lambda: page.get("heatmap").get_attribute("data-ready") == "true")
    assert "research use" in page.text("research-use")
    page.wait("the report", lambda: page.get("report").get_attribute("data-state") == "done", 60)
    assert page.text("report-author")
    assert page.text("focus")


def test_forty_dropped_with_three_bad_files(served_page: Page, images: dict[str, Path], bad_files: list[Path]) -> None:
    page = served_page
    page.drop([*list(images.values())[:37], *bad_files])
    page.wait_settled()
    page.wait("all answers", lambda: len(page.cells(status="done")) == 37, 60)
    errors = page.all('[data-testid="error"]')
    assert len(errors) == 3
    assert {error.get_attribute("data-code") for error in errors} <= {"unsupported_format", "malformed_image"}
    assert sum(page.counts().values()) == 37
    page.cells(status="done")[0].click()
    page.press("2")
    assert page.text("result-class") == "Eosinophil"
    assert page.counts()["Eosinophil"] >= 1


def test_report_follows_the_language(served_page: Page, images: dict[str, Path]) -> None:
    page = served_page
    page.choose([images["Lymphocyte-00"]])
    page.wait("the report", lambda: page.get("report").get_attribute("data-state") == "done", 60)
    english = page.text("report")
    page.get("language-tr").click()
    page.wait("the Turkish title", lambda: "Rapor" in page.text("report"))
    page.wait("the Turkish report", lambda: page.get("report").get_attribute("data-state") == "done", 60)
    assert page.text("report") != english
