"""A loopback server that serves the real page and answers by the HTTP contract, with states that can be asked for.

The states that the product shows rarely (busy, starting, locked, failing, gone) are reached here, at the network seam;
nothing of the page is replaced. The class it answers is the one the file is named after: `Monocyte-3.png`; a file with
`doubtful` in its name needs review.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from wbc.labels import CLASSES

WEB = Path(__file__).resolve().parents[2] / "wbc" / "web"
POLICY = "default-src 'self'; img-src 'self' data: blob:"
ACCEPTED = "JPG, PNG, BMP, TIFF and WebP are accepted"


@dataclass
class Behaviour:
    """Behaviour of the stub and the requests that it has received."""

    ready: bool = True
    key: str | None = None
    overloads: int = 0
    """Number of uploads that get a 429 first."""
    retry_after_s: int = 1
    failures: int = 0
    """Number of uploads that get a 500 first."""
    delay_s: float = 0.0
    report_failures: int = 0
    uploads: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0


def refusal(status: int, code: str, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The one error schema."""
    return JSONResponse({"error": words, "code": code}, status, headers)


def png(image: np.ndarray) -> str:
    """Base64 of a PNG; colour is RGB."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    return base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode()


@lru_cache(maxsize=64)
def pictures(data: bytes) -> dict[str, str] | None:
    """Return the three images of a response; None if the bytes are not an image."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if pixels is None:
        return None
    display = cv2.cvtColor(cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    rows, columns = np.mgrid[0:224, 0:224]
    grey = (255 * np.exp(-(((rows - 112) / 55) ** 2 + ((columns - 104) / 45) ** 2))).astype(np.uint8)
    colours = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1].copy()
    overlay = cv2.addWeighted(display, 0.5, colours, 0.5, 0)
    return {"gradcam_image": png(overlay), "display_image": png(display), "heatmap_image": png(grey)}


def class_named(name: str) -> str:
    """Return the class in a file's name; a neutrophil if there is none."""
    return next((known for known in CLASSES if known.lower() in name.lower()), "Neutrophil")


def answer(name: str, data: bytes) -> JSONResponse:
    """Response of `/predict` for a file name."""
    drawn = pictures(data)
    if drawn is None:
        if not data or data[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0"):
            return refusal(400, "malformed_image", f"{len(data)} bytes of an image that ends early; {ACCEPTED}")
        return refusal(415, "unsupported_format", f"the first bytes are of no image format; {ACCEPTED}")
    label = class_named(name)
    doubtful = "doubtful" in name
    confidence = 0.52 if doubtful else 0.9 + (sum(name.encode()) % 97) / 1000
    second = CLASSES[(CLASSES.index(label) + 1) % len(CLASSES)]
    rest = (1 - confidence) / 10
    probabilities = dict.fromkeys(CLASSES, rest) | {label: confidence, second: 1 - confidence - 3 * rest}
    reasons = [{"code": "low_confidence", "text": f"confidence {confidence:.2f} is below 0.80"}] if doubtful else []
    return JSONResponse(
        {
            "class": label,
            "confidence": confidence,
            "all_probabilities": probabilities,
            **drawn,
            "gradcam_method": "closed_form",
            "llm_report": None,
            "report": None,
            "runner_up": {"class": second, "probability": probabilities[second]},
            "review": {"needed": doubtful, "reasons": reasons},
            "focus": {"valid": True, "ratio": 0.81, "coverage": 0.22, "lift": 0.76},
            "model": {"name": "stub", "version": "1.0.0", "bundle_sha256": "0" * 64},
            "request_id": f"{len(data):032x}",
            "timings_ms": {"decode": 1.2, "prepare": 6.0, "forward": 33.0, "heatmap": 0.5},
        }
    )


def application(behaviour: Behaviour) -> Starlette:
    """The page and the contract, for this behaviour."""

    async def obstacle(request: Request) -> Response | None:
        if not behaviour.ready:
            return refusal(503, "not_ready", "the model is still being loaded")
        if behaviour.key is not None and request.headers.get("X-API-Key") != behaviour.key:
            return refusal(401, "unauthorized", "a valid key is expected in the header X-API-Key")
        return None

    async def predict(request: Request) -> Response:
        blocked = await obstacle(request)
        if blocked:
            return blocked
        if behaviour.overloads > 0:
            behaviour.overloads -= 1
            headers = {"Retry-After": str(behaviour.retry_after_s)}
            return refusal(429, "overloaded", "too many requests in progress; try again later", headers)
        behaviour.in_flight += 1
        behaviour.most_in_flight = max(behaviour.most_in_flight, behaviour.in_flight)
        try:
            async with request.form() as form:
                upload = form["file"]
                name, data = str(upload.filename), await upload.read()
            await asyncio.sleep(behaviour.delay_s)
            behaviour.uploads.append(name)
            if behaviour.failures > 0:
                behaviour.failures -= 1
                return refusal(500, "model_error", "the forward pass failed")
            return await asyncio.to_thread(answer, name, data)
        finally:
            behaviour.in_flight -= 1

    async def explain(request: Request) -> Response:
        blocked = await obstacle(request)
        if blocked:
            return blocked
        language = request.query_params["language"]
        behaviour.languages.append(language)
        if behaviour.report_failures > 0:
            behaviour.report_failures -= 1
            return refusal(500, "model_error", "the explainer failed")
        async with request.form() as form:
            name = str(form["file"].filename)
        label = class_named(name)
        text = {
            "en": f"The cell was read as a {label.lower()}.\nThe nucleus and the cytoplasm agree with this class.",
            "tr": f"Hücre {label} olarak okundu.\nÇekirdek ve sitoplazma bu sınıfla uyumlu.",
        }[language]
        report = {"text": text, "provider": "rules", "language": language, "failures": []}
        return JSONResponse({"report": report})

    async def readyz(_: Request) -> Response:
        return Response("ready") if behaviour.ready else refusal(503, "not_ready", "the model is still being loaded")

    async def model(request: Request) -> Response:
        return await obstacle(request) or JSONResponse(
            {"name": "stub", "version": "1.0.0", "classes": CLASSES, "bundle_sha256": "0" * 64}
        )

    async def page(request: Request) -> Response:
        path = WEB / request.path_params.get("name", "index.html")
        if not path.is_file():
            return Response(status_code=404)
        return FileResponse(path, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/web/{name}", page),
            Route("/predict", predict, methods=["POST"]),
            Route("/explain", explain, methods=["POST"]),
            Route("/readyz", readyz),
            Route("/model", model),
        ]
    )


class StubServer:
    """The application on a loopback port that stays the same when it is stopped and started again."""

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve, and return once connections are taken."""
        config = uvicorn.Config(
            application(self.behaviour),
            port=self.port,
            log_level="error",
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > deadline:
                raise TimeoutError("the stub did not start within 20 s")
            time.sleep(0.02)

    def stop(self) -> None:
        """Close every connection and the port."""
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(timeout=20)
        self._server = self._thread = None

    def reset(self) -> None:
        """Back to a server that is well and has seen nothing."""
        self.behaviour.__dict__.update(Behaviour().__dict__)


@contextlib.contextmanager
def served_stub() -> Iterator[StubServer]:
    """A running stub, stopped at the end."""
    server = StubServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
