"""Responses of a served process with the default model."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.contract import contract_of
from tests.drawn import drawn_cell
from tests.served import Served
from wbc.bundle import Bundle
from wbc.images import encode_jpeg, encode_png
from wbc.labels import CLASSES
from wbc.settings import settings

TIMEOUT = httpx.Timeout(60)


def ask(method: str, url: str, path: str, **request: Any) -> httpx.Response:
    """Check a response against the server's OpenAPI document."""
    return contract_of(url).check(httpx.request(method, f"{url}{path}", timeout=TIMEOUT, **request))


def post(url: str, data: bytes, name: str = "cell.png", path: str = "/predict", **params: str) -> httpx.Response:
    return ask("POST", url, path, files={"file": (name, data)}, params=params)


@pytest.fixture(scope="module")
def cell() -> bytes:
    return encode_png(drawn_cell("Neutrophil", np.random.default_rng(3)))


def bomb(side: int) -> bytes:
    """A PNG of a few kilobytes that claims side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(4096))) + chunk(b"IEND", b"")
    )


def test_answers_with_everything_the_plan_names(server_url: str, cell: bytes) -> None:
    response = post(server_url, cell)
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["class"] in CLASSES
    assert list(body["all_probabilities"]) == list(CLASSES)
    assert sum(body["all_probabilities"].values()) == pytest.approx(1.0, abs=1e-6)
    assert body["confidence"] == max(body["all_probabilities"].values())
    for key, mode in (("gradcam_image", "RGB"), ("display_image", "RGB"), ("heatmap_image", "L")):
        picture = Image.open(io.BytesIO(base64.b64decode(body[key], validate=True)))
        assert (picture.format, picture.mode, picture.size) == ("PNG", mode, (224, 224))
    assert body["class"] in body["llm_report"]
    assert body["report"]["provider"] == "rules"
    assert body["gradcam_method"] == "closed_form"
    assert body["model"]["bundle_sha256"] == Bundle.load(settings().bundle).sha256
    assert response.headers["x-request-id"] == body["request_id"]


def test_turkish_report_and_no_report(server_url: str, cell: bytes) -> None:
    turkish = post(server_url, cell, language="tr").json()
    assert turkish["report"]["language"] == "tr"
    silent = post(server_url, cell, explain="false").json()
    assert silent["llm_report"] is None
    assert silent["report"] is None
    alone = post(server_url, cell, path="/explain", language="tr").json()
    assert alone["report"]["text"] == turkish["llm_report"]


def test_keras_map_agrees_with_the_closed_form(server_url: str, cell: bytes) -> None:
    def heat(**params: str) -> np.ndarray:
        body = post(server_url, cell, explain="false", **params).json()
        assert body["gradcam_method"] == ("keras:attention" if params else "closed_form")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(body["heatmap_image"]))), np.int16)

    assert np.abs(heat(gradcam="keras") - heat()).max() <= 1


def test_another_layer(server_url: str, cell: bytes) -> None:
    body = post(server_url, cell, explain="false", gradcam="keras", layer="block10_add").json()
    assert body["gradcam_method"] == "keras:block10_add"


def test_same_image_same_answer(server_url: str, cell: bytes) -> None:
    first, second = (post(server_url, cell, explain="false").json() for _ in range(2))
    changing = {"request_id", "timings_ms"}
    assert {k: v for k, v in first.items() if k not in changing} == {
        k: v for k, v in second.items() if k not in changing
    }


def test_request_id_is_kept_where_it_is_sane(server_url: str, cell: bytes) -> None:
    def answered(given: str) -> str:
        response = ask(
            "POST", server_url, "/predict?explain=false", files={"file": cell}, headers={"X-Request-ID": given}
        )
        return str(response.json()["request_id"])

    assert answered("lab-7.42") == "lab-7.42"
    assert answered("a b;c") != "a b;c"


@pytest.mark.parametrize(
    ("data", "name", "status", "code", "word"),
    [
        (b"just words", "cell.jpg", 415, "unsupported_format", "JPG, PNG, BMP, TIFF and WebP"),
        (b"", "cell.jpg", 415, "unsupported_format", "empty"),
        (encode_jpeg(np.full((64, 64, 3), 200, np.uint8))[:-300], "cell.jpg", 400, "malformed_image", "truncated"),
        (encode_png(np.zeros((4, 4, 3), np.uint8)), "cell.png", 400, "malformed_image", "16x16"),
        (bomb(20_000), "cell.png", 413, "image_too_large", "40 megapixels"),
        (bytes(11 * 1024 * 1024), "cell.png", 413, "body_too_large", "10 MiB"),
    ],
    ids=["text", "empty", "truncated", "tiny", "bomb", "large body"],
)
def test_bad_uploads(server_url: str, data: bytes, name: str, status: int, code: str, word: str) -> None:
    response = post(server_url, data, name)
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error", "code"}
    assert body["code"] == code
    assert word in body["error"]


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"language": "de"}, "en or tr"),
        ({"explain": "perhaps"}, "true or false"),
        ({"gradcam": "magic"}, "closed_form or keras"),
        ({"gradcam": "keras", "layer": "no_such_layer"}, "no_such_layer"),
    ],
)
def test_bad_parameters(server_url: str, cell: bytes, params: dict[str, str], word: str) -> None:
    response = post(server_url, cell, **params)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")
    assert word in response.json()["error"]


@pytest.mark.parametrize(
    "request_",
    [
        {"content": b"raw bytes"},
        {"json": {"file": "x"}},
        {"data": {"file": "a string"}, "files": {"other": b"x"}},
        {"files": [("file", b"one"), ("file", b"two")]},
        {"content": b"--x\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"", "headers": {"content-type": "multipart/form-data"}},
    ],
    ids=["no type", "json", "string field", "two files", "broken multipart", "no boundary"],
)
def test_bad_requests(server_url: str, request_: dict[str, Any]) -> None:
    response = ask("POST", server_url, "/predict", **request_)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter"), response.text


def test_chunked_body_is_limited_too(server_url: str) -> None:
    def chunks():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.png"\r\n\r\n'
        for _ in range(11):
            yield bytes(1024 * 1024)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = ask("POST", server_url, "/predict", content=chunks(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_page_and_its_headers(server_url: str) -> None:
    page = ask("GET", server_url, "/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert ask("GET", server_url, "/web/app.js").status_code == 200
    for path in ("/web/..%2fcli.py", "/web/nothing.js", "/web/" + 5000 * "a", "/nothing", "/docs.json"):
        response = ask("GET", server_url, path)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert ask("GET", server_url, "/predict").json()["code"] == "method_not_allowed"
    assert ask("GET", server_url, "/model").headers["x-content-type-options"] == "nosniff"


def test_probes(server_url: str) -> None:
    document = contract_of(server_url).document["paths"]
    for path in ("/livez", "/readyz", "/metrics"):
        response = httpx.get(f"{server_url}{path}")
        assert response.status_code == 200
        assert response.headers["content-type"].split(";")[0] in document[path]["get"]["responses"]["200"]["content"]


def test_batch_answers_each_file_in_order(server_url: str) -> None:
    rng = np.random.default_rng(5)
    files = [encode_png(drawn_cell(label, rng)) for label in CLASSES]
    files.insert(2, b"just words")
    uploads = [("file", (f"Jane Doe {number}.png", data)) for number, data in enumerate(files)]
    body = ask("POST", server_url, "/predict/batch", files=uploads).json()
    assert [result["index"] for result in body["results"]] == list(range(6))
    assert body["results"].pop(2)["error"]["code"] == "unsupported_format"
    singles = [post(server_url, data, explain="false").json() for data in files if data != b"just words"]
    for result, single in zip(body["results"], singles, strict=True):
        assert result["prediction"]["class"] == single["class"]
        # Rows of a batch are summed in another order than one alone.
        assert result["prediction"]["confidence"] == pytest.approx(single["confidence"], abs=1e-3)
    count = body["differential"]
    assert count["counted"] + count["for_review"] == 6
    assert count["review"][0]["index"] in range(6)
    assert sum(share["count"] for share in count["shares"]) == count["counted"]
    assert "Jane" not in json.dumps(body)


def test_batch_with_pictures(server_url: str, cell: bytes) -> None:
    body = ask(
        "POST", server_url, "/predict/batch?heatmaps=true", files=[("file", cell), ("file", cell), ("file", cell)]
    ).json()
    heat = [result["prediction"]["heatmap_image"] for result in body["results"]]
    assert Image.open(io.BytesIO(base64.b64decode(heat[0]))).size == (224, 224)


def test_model_failure_is_500_and_one_schema(failing_server: Served, cell: bytes) -> None:
    response = post(failing_server.url, cell, explain="false")
    assert (response.status_code, response.json()["code"]) == (500, "model_error")
    assert set(response.json()) == {"error", "code"}
    assert "Traceback" not in response.text


def test_was_not_ready_before_it_was(failing_server: Served) -> None:
    assert failing_server.unready_statuses <= {0, 503}


def stalled_upload(server: Served) -> socket.socket:
    """A connection whose upload has begun and does not go on."""
    head = (
        "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: 100000\r\n\r\n--b\r\n"
    )
    slow = socket.create_connection(("127.0.0.1", server.port))
    slow.settimeout(20)
    slow.sendall(head.encode())
    return slow


def test_stalled_uploads_are_bounded_and_given_up(failing_server: Served, cell: bytes) -> None:
    with stalled_upload(failing_server) as first:
        time.sleep(0.3)
        alone = post(failing_server.url, cell, explain="false")
        assert alone.json()["code"] == "model_error", "an upload that stalls takes no place of those that are complete"
        with stalled_upload(failing_server):
            time.sleep(0.3)
            response = post(failing_server.url, cell, explain="false")
            assert (response.status_code, response.json()["code"]) == (429, "overloaded")
            assert response.headers["retry-after"] == "1"
        answer = b"".join(iter(lambda: first.recv(65536), b""))  # to the end: the connection is closed
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"upload_timeout" in answer
    assert post(failing_server.url, cell, explain="false").json()["code"] == "model_error"


def test_without_keras_the_other_map_is_refused(failing_server: Served, cell: bytes) -> None:
    response = post(failing_server.url, cell, gradcam="keras")
    assert response.status_code in (400, 500)


TEST_A = settings().data_root / "TestA"


@pytest.mark.skipif(
    not TEST_A.is_dir(), reason=f"no real images: {TEST_A} is missing (WBC_DATA_ROOT names their folder)"
)
@pytest.mark.parametrize("label", CLASSES)
def test_real_cells_are_told_right(server_url: str, label: str) -> None:
    files = sorted((TEST_A / label).iterdir())[::40][:4]
    told = [post(server_url, path.read_bytes(), path.name, explain="false").json()["class"] for path in files]
    assert told.count(label) >= 3, f"{label}: told {told}"


def test_bundle_hash_is_of_the_manifest() -> None:
    folder = Path(settings().bundle)
    assert Bundle.load(folder).sha256 == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
