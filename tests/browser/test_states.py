"""Faults: starting, busy, locked, failing, gone and back. The page reports each, and no cell is lost."""

from __future__ import annotations

from pathlib import Path

from .page import ENGLISH, Page
from .stub_server import StubServer


def banner(page: Page, state: str) -> str:
    """The banner's words, once it shows this state."""
    page.wait(f"the banner {state}", lambda: page.get("banner").get_attribute("data-state") == state)
    return page.text("banner")


def test_empty_page_says_what_to_do(page: Page) -> None:
    page.wait("the server's state", lambda: page.text("server-state") == "Ready")
    assert "Drop images of single cells here" in page.text("drop-zone")
    assert "For research use only" in page.text("welcome")
    assert page.get("banner").is_displayed() is False
    assert page.text("model-line") == "Model stub 1.0.0"


def test_server_that_starts_is_waited_for(page: Page, stub: StubServer, images: dict[str, Path]) -> None:
    stub.behaviour.ready = False
    page.reload()
    assert ENGLISH["banner.not_ready.title"] in banner(page, "not_ready")
    page.choose([images["Neutrophil-00"]])
    page.wait("the cell waits", lambda: page.text("result-class") == ENGLISH["viewer.waiting"])
    stub.behaviour.ready = True
    page.wait("the class", lambda: page.text("result-class") == "Neutrophil")
    assert page.get("banner").is_displayed() is False


def test_busy_server_is_given_the_time_it_asks_for(page: Page, stub: StubServer, images: dict[str, Path]) -> None:
    stub.behaviour.overloads = 3
    page.choose(list(images.values())[:5])
    words = banner(page, "overloaded")
    assert ENGLISH["banner.overloaded.text"] in words
    assert stub.behaviour.uploads == []
    page.wait_settled()
    assert len(page.cells(status="done")) == 5
    assert page.get("failures").is_displayed() is False


def test_key_is_asked_for_kept_in_the_tab_and_refused_in_words(
    page: Page, stub: StubServer, images: dict[str, Path]
) -> None:
    stub.behaviour.key = "right"
    page.choose([images["Monocyte-00"], images["Monocyte-01"]])
    page.wait("the question", lambda: page.get("key-dialog").is_displayed())
    page.get("key-input").send_keys("wrong")
    page.get("key-save").click()
    page.wait("the refusal", lambda: ENGLISH["key.refused"] in page.text("key-words"))
    page.get("key-later").click()
    page.wait("the banner's refusal", lambda: ENGLISH["banner.key_refused.title"] in page.text("banner"))
    page.get("enter-key").click()
    page.get("key-input").send_keys("right")
    page.get("key-save").click()
    page.wait_settled()
    assert len(page.cells(status="done")) == 2
    page.reload()
    page.choose([images["Monocyte-02"]])
    page.wait("the class without a question", lambda: page.text("result-class") == "Monocyte")
    assert page.run("return localStorage.getItem('wbc.api-key')") is None


def test_key_is_asked_for_before_any_image_is_chosen(page: Page, stub: StubServer) -> None:
    stub.behaviour.key = "right"
    page.reload()
    page.wait("the question", lambda: page.get("key-dialog").is_displayed())
    page.get("key-input").send_keys("çok gizli")
    page.get("key-save").click()
    page.wait("the refusal", lambda: ENGLISH["key.refused"] in page.text("key-words"))
    page.get("key-input").send_keys("right")
    page.get("key-save").click()
    page.wait("the model's name", lambda: page.text("model-line") == "Model stub 1.0.0")


def test_model_error_is_said_and_retried(page: Page, stub: StubServer, images: dict[str, Path]) -> None:
    stub.behaviour.failures = 1
    page.choose([images["Neutrophil-00"]])
    page.wait("the error", lambda: page.all('[data-testid="error"]'))
    assert ENGLISH["error.model_error"] in page.text("error")
    page.get("retry").click()
    page.wait("the class", lambda: page.text("result-class") == "Neutrophil")


def test_server_killed_and_back_loses_nothing(page: Page, stub: StubServer, images: dict[str, Path]) -> None:
    page.choose([images["Neutrophil-00"], images["doubtful-Monocyte"]])
    page.wait_settled()
    page.cells(standing="review")[0].click()
    page.press("2")
    stub.stop()
    try:
        page.choose([images["Lymphocyte-00"], images["Lymphocyte-01"]])
        assert ENGLISH["banner.unreachable.text"] in banner(page, "unreachable")
        assert page.text("server-state") == ENGLISH["server.unreachable"]
        assert page.counts()["Eosinophil"] == 1, "the correction stays"
        page.press("3")
        assert page.counts()["Lymphocyte"] == 1, "a reader goes on without a server"
    finally:
        stub.start()
    page.wait_settled()
    assert page.counts()["Lymphocyte"] == 3
    assert page.text("server-state") == "Ready"
    assert page.get("failures").is_displayed() is False


def test_offline_browser_is_told_and_goes_on_when_online(page: Page, images: dict[str, Path]) -> None:
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        page.choose([images["Neutrophil-00"]])
        assert "cannot be reached" in banner(page, "unreachable")
    finally:
        page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": False})
    page.wait("the class", lambda: page.text("result-class") == "Neutrophil")


def test_answer_that_is_no_answer_is_said(page: Page, images: dict[str, Path]) -> None:
    page.run(
        """
        const real = window.fetch;
        window.fetch = (url, options) =>
          String(url).includes("predict") ? Promise.resolve(new Response("<html>")) : real(url, options);
        """
    )
    page.choose([images["Neutrophil-00"]])
    page.wait("the error", lambda: page.all('[data-testid="error"]'))
    assert page.get("error").get_attribute("data-code") == "unexpected_answer"
