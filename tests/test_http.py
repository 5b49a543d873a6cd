"""The HTTP application with a scripted engine."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from prometheus_client import generate_latest
from starlette.testclient import TestClient

from tests.contract import Contract
from tests.serving.scripted import ScriptedEngine
from wbc.errors import ModelError, NotReady, Overloaded
from wbc.http import create_app
from wbc.http.metrics import EntryMetrics
from wbc.settings import Settings

FILES = {"file": ("cell.png", b"Monocyte")}


def client(error: Exception | None = None, metrics: EntryMetrics | None = None, **changed: Any) -> TestClient:
    """The application; every response is checked against its OpenAPI document."""
    engine = ScriptedEngine(error)
    app = create_app(lambda: engine, Settings(**changed), metrics)
    found = TestClient(app)
    contract = Contract(found.get("/openapi.json").json())
    found.event_hooks["response"].append(lambda response: response.read() and contract.check(response))
    return found


def batch(*uploads: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", (f"Jane Doe {number}.png", upload)) for number, upload in enumerate(uploads)]


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
    response = client(request_timeout_s=0.2).post("/predict", files={"file": b"slow"})
    assert (response.status_code, response.json()["code"]) == (503, "deadline_exceeded")
    assert "0.2 s" in response.json()["error"]


def test_key_is_asked_for_where_one_is_set() -> None:
    guarded = client(ModelError("reached"), api_key="open sesame")
    for path, method in (("/predict", "POST"), ("/predict/batch", "POST"), ("/explain", "POST"), ("/model", "GET")):
        for headers, word in (({}, "no API key"), ({"X-API-Key": "open"}, "wrong API key")):
            response = guarded.request(method, path, headers=headers)
            assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
            assert word in response.json()["error"]
    key = {"X-API-Key": "open sesame"}
    assert guarded.post("/predict", files=FILES, headers=key).json()["code"] == "model_error"
    assert guarded.get("/model", headers=key).json()["name"] == "scripted"
    assert guarded.get("/").status_code == 200, "the page asks for the key itself"


def test_without_a_key_none_is_asked_for() -> None:
    assert client().get("/model").status_code == 200


def test_answers_name_the_request_and_the_model() -> None:
    asked = client()
    for path in ("/predict", "/predict/batch", "/explain"):
        response = asked.post(path, files=FILES, headers={"X-Request-ID": "lab-7.42"})
        body = response.json()
        assert body["request_id"] == response.headers["x-request-id"] == "lab-7.42"
        assert body["model"]["bundle_sha256"] == "0" * 64
        assert body["timings_ms"]
    assert asked.get("/model", headers={"X-Request-ID": "a b;c"}).headers["x-request-id"] != "a b;c"
    assert asked.get("/nothing").headers["x-request-id"], "errors have one too"


class TestBatch:
    def test_answers_in_order_and_a_bad_image_fails_alone(self) -> None:
        uploads = [b"Monocyte", b"malformed", b"Neutrophil?", b"bug", b"Basophil", b"model"]
        body = client().post("/predict/batch", files=batch(*uploads)).json()
        told = [
            (one["index"], one["prediction"]["class"] if "prediction" in one else one["error"]["code"])
            for one in body["results"]
        ]
        assert told == [
            (0, "Monocyte"),
            (1, "malformed_image"),
            (2, "Neutrophil"),
            (3, "internal_error"),
            (4, "Basophil"),
            (5, "model_error"),
        ]
        assert "secret" not in json.dumps(body)
        count = body["differential"]
        assert (count["counted"], count["for_review"]) == (2, 4)
        assert {share["label"]: share["count"] for share in count["shares"] if share["count"]} == {
            "Monocyte": 1,
            "Basophil": 1,
        }
        assert [cell["index"] for cell in count["review"]] == [1, 2, 3, 5]
        assert count["review"][1] == {
            "index": 2,
            "suggestion": "Neutrophil",
            "confidence": 0.9,
            "reasons": ["low_confidence"],
        }
        assert "Jane" not in json.dumps(body), "names of files can identify patients"

    def test_pictures_and_reports_where_they_are_asked_for(self) -> None:
        plain = client().post("/predict/batch", files=batch(b"Monocyte")).json()["results"][0]["prediction"]
        assert plain["report"] is None
        assert "heatmap_image" not in plain
        asked = client().post("/predict/batch?heatmaps=true&explain=true&language=tr", files=batch(b"Monocyte")).json()
        full = asked["results"][0]["prediction"]
        assert full["report"]["language"] == "tr"
        assert set(full) - set(plain) == {"gradcam_image", "gradcam_method", "display_image", "heatmap_image"}
        single = client().post("/predict", files=FILES).json()
        assert set(full) == set(single)

    @pytest.mark.parametrize(
        ("files", "word"),
        [(65 * [b"Monocyte"], "more than 64"), (66 * [b"Monocyte"], "more than 64"), ([], "0 files")],
    )
    def test_number_of_files(self, files: list[bytes], word: str) -> None:
        sent = batch(*files) or {"other": b""}
        response = client().post("/predict/batch", files=sent)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")
        assert word in response.json()["error"]

    def test_limit_of_its_own(self) -> None:
        asked = client(max_body_bytes=1000, max_batch_body_bytes=5000)
        assert asked.post("/predict/batch", files=batch(*20 * [b"Monocyte"])).status_code == 200
        for path, size, limit in (("/predict", 1000, 1000), ("/predict/batch", 5000, 5000)):
            response = asked.post(path, files={"file": bytes(size)})
            assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
            assert f"{limit / 1048576:g} MiB" in response.json()["error"]

    def test_service_that_is_away_answers_for_the_whole_batch(self) -> None:
        response = client().post("/predict/batch", files=batch(b"Monocyte", b"away", b"slow"))
        assert (response.status_code, response.json()["code"]) == (503, "not_ready")

    @pytest.mark.parametrize(("places", "fan_out"), [(64, 8), (6, 3), (1, 1)])
    def test_works_on_a_few_files_at_once(self, places: int, fan_out: int) -> None:
        engine = ScriptedEngine()
        app = create_app(lambda: engine, Settings(max_concurrency=places))
        uploads = 30 * [b"Monocyte"]
        assert TestClient(app).post("/predict/batch", files=batch(*uploads)).status_code == 200
        assert (engine.most, len(engine.asked)) == (fan_out, 30)


class TestPaths:
    def test_unknown_ones_have_the_schema_of_every_error(self) -> None:
        asked = client()
        for path in ("/nothing", "/web/", "/web/..%2fhttp", "/docs.json", "/predict/"):
            response = asked.get(path)
            assert (response.status_code, response.json()["code"]) == (404, "not_found"), path
        assert asked.get("/web/" + 5000 * "a").status_code == 404

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "TRACE"])
    def test_other_methods_are_told_which_are_answered(self, method: str) -> None:
        response = client().request(method, "/predict")
        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
        assert response.headers["allow"] == "POST"

    def test_security_headers(self) -> None:
        asked = client()
        page = asked.get("/").headers
        assert "default-src 'self'" in page["content-security-policy"]
        for response in (asked.get("/model"), asked.get("/nothing"), asked.post("/predict", files=FILES)):
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["cache-control"] == "no-store"
            assert "default-src 'none'" in response.headers["content-security-policy"]
        assert page["x-content-type-options"] == "nosniff"


class TestOrigins:
    ASKED: dict[str, str] = {"Origin": "https://lab.example", "Access-Control-Request-Method": "POST"}  # noqa: RUF012

    def test_closed_by_default(self) -> None:
        for response in (client().get("/model", headers=self.ASKED), client().options("/predict", headers=self.ASKED)):
            assert not [name for name in response.headers if name.startswith("access-control")]

    def test_exactly_those_that_are_set(self) -> None:
        opened = client(cors_origins="https://lab.example, http://localhost:8000")
        for origin, allowed in (("https://lab.example", True), ("https://lab.example.evil", False), ("null", False)):
            response = opened.get("/nothing", headers={"Origin": origin})
            assert (response.headers.get("access-control-allow-origin") == origin) == allowed
        headers = {**self.ASKED, "Access-Control-Request-Headers": "x-api-key"}
        preflight = TestClient(opened.app).options("/predict", headers=headers)
        assert preflight.status_code == 200
        assert "X-API-Key" in preflight.headers["access-control-allow-headers"]

    def test_of_an_error_of_the_code_too(self) -> None:
        response = client(RuntimeError("bug"), cors_origins="https://lab.example").post(
            "/predict", files=FILES, headers={"Origin": "https://lab.example"}
        )
        assert response.status_code == 500
        assert response.headers["access-control-allow-origin"] == "https://lab.example"


class TestLogLine:
    def lines(self, caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
        return [record.fields for record in caplog.records if hasattr(record, "fields")]  # type: ignore[attr-defined]

    def test_of_a_prediction(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "wbc.requests")
        asked = client(api_key="sesame")
        caplog.clear()
        asked.post(
            "/predict?language=tr",
            files={"file": ("Jane Doe.png", b"Monocyte?")},
            headers={"X-Request-ID": "lab-1", "X-API-Key": "sesame"},
        )
        (line,) = self.lines(caplog)
        assert line.pop("duration_ms") > 0
        assert line.pop("bytes") > 100
        assert line == {
            "request_id": "lab-1",
            "method": "POST",
            "route": "/predict",
            "status": 200,
            "code": None,
            "model_version": "0",
            "bundle_sha256": "0" * 64,
            "class": "Monocyte",
            "confidence": 0.9,
            "review": ["low_confidence"],
            "timings_ms": {"decode": 1.0, "forward": 20.0},
        }

    def test_one_a_request_and_nothing_private_in_it(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "wbc")
        asked = client(api_key="sesame")
        caplog.clear()
        key = {"X-API-Key": "sesame"}
        asked.post("/predict/batch?explain=true", files=batch(b"Monocyte", b"malformed"), headers=key)
        asked.post("/explain", files=batch(b"Monocyte"), headers=key)
        asked.post("/predict", files=batch(b"bug"), headers=key)
        asked.post("/predict", files=batch(b"Monocyte"), headers={"X-API-Key": "guess"})
        asked.get("/path-of-a-caller")
        lines = self.lines(caplog)
        assert [(line["route"], line["status"], line["code"]) for line in lines] == [
            ("/predict/batch", 200, None),
            ("/explain", 200, None),
            ("/predict", 500, "internal_error"),
            ("/predict", 401, "unauthorized"),
            ("other", 404, "not_found"),
        ]
        assert (lines[0]["files"], lines[0]["failed"]) == (2, {"malformed_image": 1})
        told = json.dumps(lines)
        for private in ("Jane", "sesame", "guess", "words", "path-of-a-caller"):
            assert private not in told
        assert caplog.records[-3].exc_info, "where the code failed is in the log"


def test_counts() -> None:
    metrics = EntryMetrics()
    asked = client(metrics=metrics)
    asked.post("/predict", files={"file": b"Monocyte?"})
    asked.post("/predict/batch", files=batch(b"Monocyte", b"malformed"))
    asked.post("/explain", files=FILES)
    asked.post("/predict", files={"file": b"bug"})
    asked.get("/made-up-1")
    asked.get("/made-up-2")
    value = metrics.registry.get_sample_value
    assert value("wbc_requests_total", {"route": "/predict", "status": "200"}) == 1
    assert value("wbc_requests_total", {"route": "/predict", "status": "500"}) == 1
    assert value("wbc_requests_total", {"route": "other", "status": "404"}) == 2
    assert value("wbc_predictions_total", {"class": "Monocyte"}) == 2
    assert value("wbc_confidence_ratio_sum", {"class": "Monocyte"}) == pytest.approx(1.8)
    assert value("wbc_predictions_flagged_total") == 1
    assert value("wbc_review_reasons_total", {"reason": "low_confidence"}) == 1
    assert value("wbc_stage_seconds_sum", {"stage": "forward"}) == pytest.approx(0.06)
    assert value("wbc_errors_total", {"code": "malformed_image"}) == 1
    assert value("wbc_reports_total", {"provider": "rules"}) == 2
    assert value("wbc_requests_in_progress") == 0
    assert b"stain" not in generate_latest(metrics.registry), "no reference, no metric"
    metrics.observe_stain(3.5)
    assert value("wbc_stain_distance_delta_e_sum") == 3.5
