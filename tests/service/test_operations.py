"""Metrics, log, CORS and shutdown of a served process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from contextlib import ExitStack
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.contract import contract_of
from tests.drawn import drawn_cell
from tests.served import ROOT, Served
from wbc.bundle import Bundle
from wbc.images import encode_png
from wbc.labels import CLASSES
from wbc.settings import Settings

KEY = {"X-API-Key": "open sesame"}
SECRET_NAME = "Jane Doe.png"


@pytest.fixture(scope="module")
def cells() -> list[bytes]:
    rng = np.random.default_rng(8)
    return [encode_png(drawn_cell(label, rng)) for label in CLASSES]


@pytest.fixture(scope="module")
def answers(operated_server: Served, cells: list[bytes]) -> dict[str, httpx.Response]:
    """One request of each kind, by its request id."""
    uploads = [("file", (SECRET_NAME, data)) for data in [*cells, b"words"]]
    plan: dict[str, tuple[str, str, dict[str, Any]]] = {
        "with-report": ("POST", "/predict", {"files": uploads[:1]}),
        "batch": ("POST", "/predict/batch", {"files": uploads}),
        "report-alone": ("POST", "/explain", {"files": uploads[1:2]}),
        "no-image": ("POST", "/predict", {"files": uploads[-1:]}),
        "which-model": ("GET", "/model", {}),
        "nowhere": ("GET", "/path-of-a-caller", {}),
        "no-key": ("GET", "/model", {}),
    }
    contract, found = contract_of(operated_server.url), {}
    for name, (method, path, content) in plan.items():
        headers = {"X-Request-ID": name, **(KEY if name != "no-key" else {})}
        url = f"{operated_server.url}{path}"
        found[name] = contract.check(httpx.request(method, url, headers=headers, timeout=60, **content))
    return found


def documented() -> dict[str, tuple[str, set[str]]]:
    """Kind and labels of each metric in the table of docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(wbc_\w+)` \| (\w+) \|([^|]*)\|", text, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_operator_chooses_the_views(answers: dict[str, httpx.Response]) -> None:
    assert Bundle.load(Settings().bundle).manifest.tta == "none"
    assert answers["which-model"].json()["tta"] == "light"


def test_metrics_are_those_of_the_table(operated_server: Served, answers: dict[str, httpx.Response]) -> None:
    scraped = httpx.get(f"{operated_server.url}/metrics").text
    found: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(scraped):
        if family.name.startswith("wbc_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            found[name] = (family.type, labels)
    assert found == documented()


def test_metrics_count_what_was_asked(operated_server: Served, answers: dict[str, httpx.Response]) -> None:
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(httpx.get(f"{operated_server.url}/metrics").text)
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        return samples[name, tuple(sorted(labels.items()))]

    assert value("wbc_requests_total", route="/predict/batch", status="200") == 1
    assert value("wbc_requests_total", route="/predict", status="415") == 1
    assert value("wbc_requests_total", route="/model", status="401") == 1
    assert value("wbc_requests_total", route="other", status="404") >= 1
    assert value("wbc_stage_seconds_count", stage="forward") == 7
    assert value("wbc_forward_batch_images_sum") == 7 * 8, (
        "eight views each, counted in another process than the requests"
    )
    failures = {labels: number for (name, labels), number in samples.items() if name == "wbc_explainer_failures_total"}
    assert list(failures.values()) == [2], failures
    assert value("wbc_errors_total", code="unsupported_format") == 2
    assert value("wbc_stain_distance_delta_e_count") == 7
    assert sum(number for (name, _), number in samples.items() if name == "wbc_predictions_total") == 6


def test_log_has_one_line_a_request(operated_server: Served, answers: dict[str, httpx.Response]) -> None:
    text = operated_server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert not [line for line in lines if line["logger"] == "bentoml.access"]
    told = {line["request_id"]: line for line in lines if line.get("request_id") in answers}
    assert [line["request_id"] for line in lines if line.get("request_id") in answers] == list(answers)
    for name, response in answers.items():
        assert told[name]["status"] == response.status_code
        assert {"time", "level", "route", "code", "bytes", "duration_ms"} <= told[name].keys()
    body = answers["with-report"].json()
    line = told["with-report"]
    assert (line["class"], line["timings_ms"]) == (body["class"], body["timings_ms"])
    assert line["bundle_sha256"] == body["model"]["bundle_sha256"]
    assert line["review"] == [reason["code"] for reason in body["review"]["reasons"]]
    assert told["batch"]["failed"] == {"unsupported_format": 1}
    assert told["no-image"]["code"] == "unsupported_format"
    assert told["nowhere"]["route"] == "other"
    for private in ("Jane", "sesame", "path-of-a-caller", body["llm_report"][:40], body["heatmap_image"][:40]):
        assert private not in text


def test_origins(operated_server: Served) -> None:
    for origin, allowed in (("https://lab.example", "https://lab.example"), ("https://other.example", None)):
        response = httpx.get(f"{operated_server.url}/model", headers={"Origin": origin, **KEY})
        assert response.headers.get("access-control-allow-origin") == allowed
        preflight = httpx.options(
            f"{operated_server.url}/predict",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "x-api-key",
            },
        )
        assert preflight.headers.get("access-control-allow-origin") == allowed


def test_sigterm_finishes_requests_in_progress(operated_server: Served, cells: list[bytes]) -> None:
    """Half-sent uploads still get a report, over connections made after the signal. Ends the server."""
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + cells[0] + b"\r\n--b--\r\n"
    head = (
        "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"X-API-Key: {KEY['X-API-Key']}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    server = operated_server
    with ExitStack() as stack:
        uploads = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(4)]
        for upload in uploads:
            upload.settimeout(60)
            upload.sendall(head.encode() + body[: len(body) // 2])
        time.sleep(0.5)
        os.kill(server.process.pid, signal.SIGTERM)
        time.sleep(3)  # long enough for idle processes to exit
        for upload in uploads:
            upload.sendall(body[len(body) // 2 :])
        for upload in uploads:
            response = b""
            while chunk := upload.recv(65536):
                response += chunk
            assert response.startswith(b"HTTP/1.1 200 "), response[:300] + server.log.read_bytes()[-3000:]
            assert json.loads(response.split(b"\r\n\r\n", 1)[1])["llm_report"]
        assert server.process.wait(20) in (0, -signal.SIGTERM)
