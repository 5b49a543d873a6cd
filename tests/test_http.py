"""The HTTP application on an engine that fails in chosen ways."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.testclient import TestClient

from wbc.errors import ModelError, NotReady, Overloaded
from wbc.http import create_app
from wbc.schemas import ModelInfo
from wbc.settings import Settings

FILES = {"file": ("cell.png", b"bytes")}


class FailingEngine:
    """Answers every image with one error, or never."""

    model = ModelInfo(
        name="none",
        version="0",
        bundle_sha256="0" * 64,
        preprocessing="none",
        tta="none",
        temperature=1.0,
        min_confidence=0.5,
    )

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def predict(self, data: bytes, request_id: str, **_: Any) -> Any:
        if self.error is None:
            await asyncio.sleep(30)
        raise self.error or AssertionError("the deadline did not end the request")

    async def explain(self, data: bytes, **_: Any) -> Any:
        return await self.predict(data, "")


def client(error: Exception | None = None, **changed: Any) -> TestClient:
    app = create_app(lambda: FailingEngine(error), Settings(**changed))
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ModelError("broken"), 500, "model_error"),
        (NotReady("starting"), 503, "not_ready"),
        (Overloaded("busy"), 429, "overloaded"),
        (RuntimeError("a secret path"), 500, "internal_error"),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_errors_have_one_schema(error: Exception, status: int, code: str, path: str) -> None:
    response = client(error).post(path, files=FILES)
    assert response.status_code == status
    assert set(response.json()) == {"error", "code"}
    assert response.json()["code"] == code
    assert "secret" not in response.text
    assert ("retry-after" in response.headers) == (status in (429, 503))


def test_deadline() -> None:
    response = client(None, request_timeout_s=0.2).post("/predict", files=FILES)
    assert (response.status_code, response.json()["code"]) == (503, "deadline_exceeded")
    assert "0.2 s" in response.json()["error"]


def test_key_is_asked_for_where_one_is_set() -> None:
    guarded = client(ModelError("reached"), api_key="open sesame")
    for path, method in (("/predict", "POST"), ("/explain", "POST"), ("/model", "GET")):
        for headers, word in (({}, "no key"), ({"X-API-Key": "open"}, "another key")):
            response = guarded.request(method, path, headers=headers)
            assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
            assert word in response.json()["error"]
    key = {"X-API-Key": "open sesame"}
    assert guarded.post("/predict", files=FILES, headers=key).json()["code"] == "model_error"
    assert guarded.get("/model", headers=key).json()["name"] == "none"
    assert guarded.get("/").status_code == 200, "the page asks for the key itself"


def test_without_a_key_none_is_asked_for() -> None:
    assert client().get("/model").status_code == 200
