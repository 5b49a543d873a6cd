"""Page object: reads and operates the page. Every wait fails with a message."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.remote.webelement import WebElement

from wbc.http.app import WEB

PATIENCE_S = 30.0

ENGLISH: dict[str, str] = json.loads((WEB / "catalogue.json").read_text(encoding="utf-8"))["en"]
"""English texts of the page by key."""


class Page:
    """One browser on one address."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self) -> Page:
        """Load the page as a browser that has never seen it, in English."""
        self.driver.get(f"{self.url}/web/icon.svg")
        self.run("localStorage.clear(); sessionStorage.clear(); localStorage.setItem('wbc.language', 'en')")
        return self.reload()

    def reload(self) -> Page:
        """Reload the page with the browser's stored data."""
        self.driver.get(self.url)
        self.wait("the page has started", lambda: self.run("return document.body.dataset.ready") == "true")
        return self

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page a viewport of this size, until it is closed."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def prefer(self, scheme: str) -> None:
        """Let the system ask for `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def close(self) -> None:
        """Leave the page, and give the next one the window's own size and the system's own media."""
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def module(self, name: str, expression: str) -> Any:
        """The value of an expression on `m`, the page's own module of this name."""
        script = f"""
            const done = arguments[arguments.length - 1];
            import(new URL("web/{name}", document.baseURI)).then((m) => done({expression}), (e) => done(String(e)));
        """
        return self.driver.execute_async_script(script)

    def wait(self, what: str, condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        """Wait until the condition holds, or fail with a message."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except StaleElementReferenceException:
                pass
            time.sleep(0.03)
        raise AssertionError(f"not within {patience_s:g} s: {what}")

    def get(self, testid: str) -> WebElement:
        """The element that index.html or a view marks with this `data-testid`."""
        return self.driver.find_element("css selector", f'[data-testid="{testid}"]')

    def all(self, selector: str) -> list[WebElement]:
        """All elements of a CSS selector."""
        return self.driver.find_elements("css selector", selector)

    def text(self, testid: str) -> str:
        """The visible text of a marked element."""
        return self.get(testid).text

    def choose(self, files: Iterable[Path]) -> None:
        """Choose files with the file input."""
        self.get("file-input").send_keys("\n".join(str(path) for path in files))

    def drop(self, paths: Iterable[Path]) -> None:
        """Drop files or folders on the drop zone, through the browser's own drag and drop."""
        zone = self.get("drop-zone").rect
        event = {
            "x": zone["x"] + zone["width"] / 2,
            "y": zone["y"] + zone["height"] / 2,
            "data": {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1},
        }
        for kind in ("dragEnter", "dragOver", "drop"):
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, **event})

    def press(self, *keys: str) -> None:
        """Press keys one after the other at the current focus."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def wait_settled(self) -> None:
        """Wait until nothing is on its way any more."""
        self.wait("cells on the page", lambda: self.all('[data-testid="cell"], [data-testid="error"]'))
        self.wait("every image settled", lambda: not self.get("progress").is_displayed(), 120)

    def cells(self, **data: str) -> list[WebElement]:
        """Return the gallery's tiles with these data attributes: `cells(standing="review")`."""
        return self.all('[data-testid="cell"]' + "".join(f'[data-{key}="{value}"]' for key, value in data.items()))

    def counts(self) -> dict[str, int]:
        """Return the differential's counts per class on the page."""
        return {
            str(row.get_attribute("data-class")): int(row.find_element("css selector", '[data-testid="count"]').text)
            for row in self.all('[data-testid="differential"] tbody[data-class]')
        }

    def complaints(self) -> list[str]:
        """Console errors since the last call, except failed requests."""
        severe = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [message for message in severe if "Failed to load resource" not in message]
