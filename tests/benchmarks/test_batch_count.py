"""Mean batch size from a server's metrics."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from benchmarks.load import count_batches

TWO_WORKERS = b"""# TYPE wbc_forward_batch_images histogram
wbc_forward_batch_images_bucket{le="+Inf",worker_index="1"} 4.0
wbc_forward_batch_images_sum{worker_index="1"} 10.0
wbc_forward_batch_images_count{worker_index="1"} 4.0
wbc_forward_batch_images_sum{worker_index="2"} 2.0
wbc_forward_batch_images_count{worker_index="2"} 2.0
"""


def test_all_workers_are_summed() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(TWO_WORKERS)

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert count_batches(f"http://127.0.0.1:{server.server_port}") == (12.0, 6.0)
        server.shutdown()
