"""The load generator's numbers, against servers whose delays and refusals are known."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

import numpy as np
import pytest

from benchmarks.generator import ClosedLoop, Exchange, OpenArrivals, Requests, generate, spawn_generator, summarise

FILE = b"\xff\xd8 not really a picture \r\n--"


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler, int], None], *, one_at_a_time: bool = False) -> Iterator[str]:
    """Start a server that passes each request and its number to `answer`; yields its address."""
    numbers = iter(range(10**6))
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with lock:
                number = next(numbers)
            answer(self, number)

        def log_message(self, *_: object) -> None:
            return

    base = HTTPServer if one_at_a_time else ThreadingHTTPServer

    class Server(base):  # type: ignore[misc, valid-type]
        request_queue_size = 256

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/predict"
        finally:
            server.shutdown()


def say(handler: BaseHTTPRequestHandler, status: int) -> None:
    handler.rfile.read(int(handler.headers["Content-Length"]))
    handler.send_response(status)
    handler.send_header("Content-Length", "2")
    handler.end_headers()
    handler.wfile.write(b"{}")


def test_statuses_are_counted_as_they_were_answered() -> None:
    with serving(lambda handler, number: say(handler, 429 if number % 4 == 0 else 200)) as url:
        found = generate(Requests.from_files(url, [FILE]), OpenArrivals(200.0, 0.2, kind="constant"))
    assert (found.sent, found.statuses, found.rate) == (40, {"200": 30, "429": 10}, 200.0)
    assert found.share("429") == 0.25
    assert not found.meets(1e9)  # a refused request is a rate that is not held
    assert found.p50_ms is not None


def test_a_stalling_server_is_charged_for_what_had_to_wait() -> None:
    def slowly(handler: BaseHTTPRequestHandler, _: int) -> None:
        time.sleep(0.05)
        say(handler, 200)

    with serving(slowly, one_at_a_time=True) as url:
        requests = Requests.from_files(url, [FILE])
        together = generate(requests, OpenArrivals(1000.0, 0.02, kind="constant"))
        alone = generate(requests, ClosedLoop(1, 0.3))
    # Twenty requests are due at once and each takes 50 ms: the n-th waits for n of them.
    assert together.sent == 20
    assert together.p50_ms is not None
    assert together.p99_ms is not None
    assert alone.p50_ms is not None
    assert together.p50_ms >= 9.5 * 50
    assert together.p99_ms >= 19 * 50
    assert alone.p50_ms >= 50
    assert alone.callers == 1
    assert 1 <= alone.sent <= 6  # one at a time, 50 ms each


def test_a_connection_that_is_cut_and_one_that_hangs_are_named() -> None:
    def cut_or_hang(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number == 0:
            handler.connection.shutdown(socket.SHUT_RDWR)
        elif number == 1:
            time.sleep(1.5)
        else:
            say(handler, 200)

    with serving(cut_or_hang) as url:
        load = OpenArrivals(20.0, 0.25, kind="constant")
        found = generate(Requests.from_files(url, [FILE], timeout_s=1.0), load)
    assert found.statuses.pop("200") == 3
    assert found.statuses.pop("no response: TimeoutError") == 1
    assert list(found.statuses.values()) == [1]  # however the operating system tells of the cut
    assert next(iter(found.statuses)).startswith("no response: ")


def test_the_file_arrives_as_the_multipart_field_file() -> None:
    from python_multipart.multipart import parse_form

    received = []

    def read(handler: BaseHTTPRequestHandler, _: int) -> None:
        def on_file(file: object) -> None:
            file.file_object.seek(0)  # type: ignore[attr-defined]
            received.append((file.field_name, file.file_object.read()))  # type: ignore[attr-defined]

        names = ("Content-Type", "Content-Length")
        parse_form({name: handler.headers[name].encode() for name in names}, handler.rfile, None, on_file)
        handler.send_response(200)
        handler.end_headers()

    with serving(read) as url, spawn_generator() as elsewhere:
        found = elsewhere(Requests.from_files(url, [FILE, b"two"]), OpenArrivals(20.0, 0.1, kind="constant"))
    assert found.statuses == {"200": 2}
    assert sorted(received) == sorted([(b"file", FILE), (b"file", b"two")])


def test_a_stretch_is_summarised() -> None:
    # Due each 10 ms of a second, answered 5 ms later but for one that takes 300 ms; 0.2 s of warm-up.
    exchanges = [
        Exchange(due, due + 0.001, due + (0.3 if index == 99 else 0.005), "200")
        for index in range(100)
        for due in [index / 100]
    ]
    exchanges[30] = Exchange(0.3, 0.3, 0.31, "429")
    found = summarise(exchanges, OpenArrivals(100.0, 1.0, warm_up_s=0.2, kind="constant"), cores=0.5)
    assert (found.sent, found.statuses) == (100, {"200": 79, "429": 1})
    assert found.throughput == pytest.approx((79 - 1) / 0.8)  # the slow one was answered after the end
    assert (found.p50_ms, found.p95_ms) == (5.0, 5.0)
    assert found.p99_ms == pytest.approx(np.percentile([5.0] * 78 + [300.0], 99), abs=0.01)
    assert found.send_lag_p99_ms == pytest.approx(1.0)
    assert found.generator_cpu == 0.5


def test_nothing_answered_has_no_times() -> None:
    found = summarise([Exchange(0, 0, 1, "429")], ClosedLoop(1, 1.0), cores=0.0)
    assert (found.p50_ms, found.p99_ms, found.throughput) == (None, None, 0)
    assert not found.meets(1e9)


def test_arrivals() -> None:
    assert OpenArrivals(4.0, 1.0, kind="constant").schedule() == [0.0, 0.25, 0.5, 0.75]
    drawn = OpenArrivals(50.0, 400.0, seed=3).schedule()
    assert drawn == OpenArrivals(50.0, 400.0, seed=3).schedule() != OpenArrivals(50.0, 400.0, seed=4).schedule()
    gaps = np.diff(drawn)
    assert (gaps >= 0).all()
    # Gaps of a Poisson process have equal mean and standard deviation; 20,000 of them give both to about a percent.
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.05)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.05)
