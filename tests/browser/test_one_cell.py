"""One cell: each way to upload it, and its class, maps, reasons and report on the page."""

from __future__ import annotations

import base64
from pathlib import Path

from .page import ENGLISH, Page
from .stub_server import StubServer

PAINTED = "const c = document.querySelector(arguments[0]); return c.toDataURL()"


def test_dropped_cell_shows_class_confidence_and_all_probabilities(page: Page, images: dict[str, Path]) -> None:
    page.drop([images["Monocyte-00"]])
    page.wait("the class", lambda: page.text("result-class") == "Monocyte")
    assert page.text("result-confidence").endswith("%")
    rows = page.all('[data-testid="probabilities"] li')
    shares = {row.get_attribute("data-class"): float(row.get_attribute("data-probability") or "nan") for row in rows}
    assert list(shares) == ["Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"]
    assert abs(sum(shares.values()) - 1) < 1e-6
    assert max(shares, key=shares.__getitem__) == "Monocyte"
    assert "research use" in page.text("research-use")
    assert page.text("standing") == ENGLISH["standing.model"]
    assert page.get("differential").is_displayed() is False


def test_report_arrives_after_the_class_with_its_author(page: Page, stub: StubServer, images: dict[str, Path]) -> None:
    page.choose([images["Basophil-00"]])
    page.wait("the report", lambda: page.get("report").get_attribute("data-state") == "done")
    assert "read as a basophil" in page.text("report")
    assert "built-in rules" in page.text("report-author")
    assert set(stub.behaviour.languages) == {"en"}


def test_report_that_fails_says_so_and_is_asked_for_again(
    page: Page, stub: StubServer, images: dict[str, Path]
) -> None:
    stub.behaviour.report_failures = 1
    page.choose([images["Basophil-00"]])
    page.wait("the failure", lambda: page.get("report").get_attribute("data-state") == "failed")
    assert page.text("result-class") == "Basophil"
    assert ENGLISH["report.failed"] in page.text("report")
    page.get("report-retry").click()
    page.wait("the report", lambda: page.get("report").get_attribute("data-state") == "done")


def test_heatmap_follows_the_slider_and_stands_alone(page: Page, images: dict[str, Path]) -> None:
    page.choose([images["Neutrophil-00"]])
    page.wait("the map", lambda: page.get("heatmap").get_attribute("data-ready") == "true")
    seen = {"over": page.run(PAINTED, "#heatmap"), "image": page.run(PAINTED, "#cell-image")}
    page.run("const o = arguments[0]; o.value = 0; o.dispatchEvent(new Event('input'))", page.get("opacity"))
    seen["clear"] = page.run(PAINTED, "#heatmap")
    page.get("map-raw").click()
    seen["alone"] = page.run(PAINTED, "#heatmap")
    assert page.get("opacity").is_enabled() is False
    assert seen["clear"] == seen["image"]
    assert len({seen["over"], seen["image"], seen["alone"]}) == 3


def test_review_reasons_focus_and_details_are_words(page: Page, images: dict[str, Path]) -> None:
    page.choose([images["doubtful-Monocyte"]])
    page.wait("the reasons", lambda: page.get("review").is_displayed())
    assert "confidence 0.52 is below 0.80" in page.text("review")
    assert page.text("standing") == ENGLISH["standing.review"]
    assert page.text("focus").startswith(ENGLISH["focus.sentence"].format(ratio="81%", coverage="22%"))
    page.get("details").find_element("css selector", "summary").click()
    assert "33.0 ms" in page.text("details")
    assert "stub 1.0.0" in page.text("details")


def test_pasted_image_is_classified(page: Page, images: dict[str, Path]) -> None:
    page.run(
        """
        const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "pasted-Eosinophil.png", { type: "image/png" }));
        document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        """,
        base64.b64encode(images["Eosinophil-00"].read_bytes()).decode(),
    )
    page.wait("the class", lambda: page.text("result-class") == "Eosinophil")


def test_file_name_is_never_markup(page: Page, images: dict[str, Path], tmp_path: Path) -> None:
    trap = tmp_path / "<img src=x onerror=document.title='broken'>.png"
    trap.write_bytes(images["Neutrophil-01"].read_bytes())
    page.choose([trap])
    page.wait("the class", lambda: page.text("result-class") == "Neutrophil")
    assert page.text("result-file") == trap.name
    assert page.driver.title == "Leukocyte classifier"
