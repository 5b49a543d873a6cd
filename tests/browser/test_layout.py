"""Layout from 360 px, light and dark theme, page size, accessibility and no external requests."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .page import Page
from .stub_server import StubServer

WIDTHS = (360, 768, 1280, 1920)
MOST_BYTES = 200_000


def violations(page: Page) -> list[str]:
    """Violations that axe-core finds on the current page, one line per node."""
    page.run(importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.driver.execute_async_script(
        """
        const done = arguments[0];
        axe.run(document).then((r) => done(r.violations), (e) => done([{ id: String(e), nodes: [{}] }]));
        """
    )
    return [f"{rule['id']}: {node.get('html', '')[:120]}" for rule in found for node in rule["nodes"]]


def empty(page: Page, *_: Any) -> None:
    page.wait("the server's state", lambda: page.text("server-state") == "Ready")


def one_cell(page: Page, _: StubServer, images: dict[str, Path], __: list[Path]) -> None:
    page.choose([images["doubtful-Monocyte"]])
    page.wait("the report", lambda: page.get("report").get_attribute("data-state") == "done")
    page.get("details").find_element("css selector", "summary").click()


def many_cells(page: Page, _: StubServer, images: dict[str, Path], bad_files: list[Path]) -> None:
    page.choose([*list(images.values())[-9:], *bad_files])
    page.wait_settled()
    page.cells(standing="review")[0].click()
    page.press("1")
    page.wait("the report", lambda: page.get("report").get_attribute("data-state") == "done")


def in_progress(page: Page, stub: StubServer, images: dict[str, Path], _: list[Path]) -> None:
    stub.behaviour.overloads = 9
    stub.behaviour.retry_after_s = 60
    page.choose(list(images.values())[:6])
    page.wait("the banner", lambda: page.get("banner").is_displayed())


def asked_for_key(page: Page, stub: StubServer, images: dict[str, Path], _: list[Path]) -> None:
    stub.behaviour.key = "key"
    page.choose([images["Monocyte-00"]])
    page.wait("the question", lambda: page.get("key-dialog").is_displayed())


def help_open(page: Page, *_: Any) -> None:
    page.get("open-help").click()


State = Callable[[Page, StubServer, dict[str, Path], list[Path]], None]
STATES: tuple[State, ...] = (empty, one_cell, many_cells, in_progress, asked_for_key, help_open)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_axe_finds_nothing(
    page: Page, stub: StubServer, images: dict[str, Path], bad_files: list[Path], state: State
) -> None:
    state(page, stub, images, bad_files)
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        assert violations(page) == [], scheme


def test_axe_finds_nothing_in_turkish_at_360_px(
    page: Page, stub: StubServer, images: dict[str, Path], bad_files: list[Path]
) -> None:
    page.resize(360, 800)
    many_cells(page, stub, images, bad_files)
    page.get("language-tr").click()
    assert violations(page) == []


def test_nothing_is_cut_off_at_any_width(
    page: Page, stub: StubServer, images: dict[str, Path], bad_files: list[Path]
) -> None:
    page.resize(WIDTHS[0], 800)
    empty(page)
    assert sideways(page) == 0
    many_cells(page, stub, images, bad_files)
    for language in ("en", "tr"):
        page.get(f"language-{language}").click()
        for width in WIDTHS:
            page.resize(width, 900)
            assert sideways(page) == 0, f"{language} at {width} px"
            cut = page.run(
                """
                return [...document.querySelectorAll("button, .button, h1, h2, h3, td, th")]
                  .filter((e) => e.offsetParent && e.scrollWidth > e.clientWidth + 1 && !e.closest(".choices kbd"))
                  .map((e) => e.textContent.trim());
                """
            )
            assert cut == [], f"{language} at {width} px"


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_answer_and_statement_are_in_the_first_view_of_a_phone(page: Page, images: dict[str, Path]) -> None:
    page.resize(360, 800)
    page.choose([images["Neutrophil-00"]])
    page.wait("the class", lambda: page.text("result-class") == "Neutrophil")
    for testid in ("result-class", "result-confidence", "research-use", "heatmap"):
        rect = page.get(testid).rect
        assert rect["y"] + rect["height"] < 800, testid


def test_dark_follows_the_system(page: Page) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        grounds[scheme] = page.run("return getComputedStyle(document.body).backgroundColor")
    assert grounds == {"light": "rgb(243, 246, 247)", "dark": "rgb(13, 19, 23)"}


def test_cold_load_is_small_and_asks_nobody_else(page: Page, stub: StubServer) -> None:
    page.reload()
    entries = page.run(
        """
        const loaded = performance.getEntries().filter((entry) => entry.name.startsWith("http"));
        return loaded.map((entry) => [entry.name, entry.decodedBodySize]);
        """
    )
    assert all(name.startswith(stub.url) for name, _ in entries)
    total = sum(size for _, size in entries)
    assert 50_000 < total < MOST_BYTES, f"{total} bytes"
