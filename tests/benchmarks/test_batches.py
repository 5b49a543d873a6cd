"""Mean batch size from a server's metrics."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from benchmarks.batches import BatchCount, batch_count

TWO_WORKERS = """# TYPE wbc_forward_batch_images histogram
wbc_forward_batch_images_bucket{le="+Inf",worker_index="1"} 4.0
wbc_forward_batch_images_sum{worker_index="1"} 10.0
wbc_forward_batch_images_count{worker_index="1"} 4.0
wbc_forward_batch_images_sum{worker_index="2"} 2.0
wbc_forward_batch_images_count{worker_index="2"} 2.0
"""


@contextmanager
def metrics(text: str, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_all_workers_are_summed() -> None:
    with metrics(TWO_WORKERS) as url:
        count = batch_count(url)
    assert count == BatchCount(images=12.0, passes=6.0)
    assert count.since(BatchCount(2.0, 1.0)) == (2.0, None)
    assert count.since(count) == (None, "no forward pass in this time")


@pytest.mark.parametrize(
    ("text", "status", "why"),
    [("", 404, "/metrics answered 404"), ("other_total 3\n", 200, "/metrics has no wbc_forward_batch_images")],
)
def test_a_server_that_does_not_tell_is_a_reason(text: str, status: int, why: str) -> None:
    with metrics(text, status) as url:
        count = batch_count(url)
    mean, missing = BatchCount().since(count)
    assert mean is None
    assert missing is not None
    assert missing.startswith(why)


def test_no_server_is_a_reason() -> None:
    with metrics("") as url:
        pass
    assert batch_count(url).missing == "/metrics gave no answer: ConnectError"
