"""One Chromium for all tests of the page, a stub for the states a healthy server does not show, and drawn cells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.drawn import drawn_cell
from wbc.images import encode_png

from .page import Page
from .stub_server import StubServer, served_stub

CHROMIUM = Path("/usr/bin/chromium")
CHROMEDRIVER = Path("/usr/bin/chromedriver")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # A colour measured in the middle of a transition is nobody's colour.
    "--force-prefers-reduced-motion",
    "--window-size=1440,900",
)


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download folder of the browser."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[Chrome]:
    """Debian's Chromium, driven by Debian's chromedriver."""
    for program in (CHROMIUM, CHROMEDRIVER):
        if not program.exists():
            pytest.skip(f"{program} is missing: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(str(CHROMEDRIVER)))
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def running_stub() -> Iterator[StubServer]:
    """The stub, started once."""
    with served_stub() as server:
        yield server


@pytest.fixture
def stub(running_stub: StubServer) -> StubServer:
    """The stub, well and with nothing seen."""
    running_stub.reset()
    return running_stub


@pytest.fixture
def page(browser: Chrome, stub: StubServer) -> Iterator[Page]:
    """The stub server's page, newly opened; the test fails if the page reports an error."""
    opened = Page(browser, stub.url).open()
    opened.complaints()
    yield opened
    opened.close()
    assert opened.complaints() == []


@pytest.fixture
def served_page(browser: Chrome, server_url: str) -> Iterator[Page]:
    """The page of the really served product, freshly opened."""
    opened = Page(browser, server_url.rstrip("/")).open()
    opened.complaints()
    yield opened
    opened.close()
    assert opened.complaints() == []


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Drawn cells by name. The stub predicts the class in the name; `doubtful` cells need review."""
    folder = tmp_path_factory.mktemp("cells")
    shares = {"Basophil": 1, "Eosinophil": 2, "Lymphocyte": 9, "Monocyte": 3, "Neutrophil": 22}
    labels = {f"{label}-{index:02d}": label for label, count in shares.items() for index in range(count)}
    labels |= {f"doubtful-{label}": label for label in ("Monocyte", "Lymphocyte", "Neutrophil")}
    rng = np.random.default_rng(7)
    paths = {name: folder / f"{name}.png" for name in labels}
    for name, path in paths.items():
        path.write_bytes(encode_png(drawn_cell(labels[name], rng)))
    return paths


@pytest.fixture(scope="session")
def bad_files(tmp_path_factory: pytest.TempPathFactory, images: dict[str, Path]) -> list[Path]:
    """Three unreadable files: text named .jpg, a truncated image, and an empty file."""
    folder = tmp_path_factory.mktemp("bad")
    words, cut, empty = folder / "words.jpg", folder / "cut.png", folder / "empty.png"
    words.write_text("These are words.")
    whole = images["Neutrophil-00"].read_bytes()
    cut.write_bytes(whole[: len(whole) // 3])
    empty.write_bytes(b"")
    return [words, cut, empty]
