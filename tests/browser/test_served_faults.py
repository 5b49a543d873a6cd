"""The really served product behind a key, killed under the page, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.served import Served
from wbc.labels import CLASSES

from .page import Page


@pytest.fixture
def guarded(tiny_bundle: Path, tmp_path: Path) -> Iterator[Served]:
    """A server with a key, a tiny model and no Keras."""
    server = Served(tmp_path, WBC_BUNDLE=str(tiny_bundle), WBC_GRADCAM="false", WBC_API_KEY="sesame")
    with server:
        yield server


def test_key_is_asked_for_and_a_killed_server_loses_nothing(
    browser: Chrome, guarded: Served, images: dict[str, Path]
) -> None:
    page = Page(browser, guarded.url).open()
    page.wait("the question for the key", lambda: page.get("key-dialog").is_displayed())
    page.get("key-input").send_keys("sesame")
    page.get("key-save").click()
    page.choose([images["Neutrophil-00"]])
    page.wait_settled()
    assert page.text("result-class") in CLASSES

    guarded.kill()
    page.choose([images["Lymphocyte-00"]])
    page.wait("the banner", lambda: page.get("banner").get_attribute("data-state") == "unreachable", 30)
    assert len(page.cells(status="done")) == 1, "the answer of before stays"

    with guarded:  # started again, on the same port
        page.wait("the second answer", lambda: len(page.cells(status="done")) == 2, 90)
        assert page.text("server-state") == "Ready"
    page.close()
    page.complaints()  # of the time without a server; they are the point here
