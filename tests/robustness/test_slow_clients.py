"""Clients that stall, do not read, or leave: none of them keeps the service from the others."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.robustness.bad_images import picture, saved
from tests.robustness.corpus import schema_complaint
from tests.robustness.wire import CLOSED, abandon, form, part, read_answer, request, send, upload
from tests.served import Served

MANY = 40
"""More than the images that the server works on at once."""


@pytest.fixture
def connections(server: Served) -> Iterator[list[socket.socket]]:
    """Open connections, closed afterwards."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30)) for _ in range(MANY)
        ]


@pytest.fixture
def cell() -> bytes:
    return upload(saved(picture(), "PNG"))


def test_stalled_uploads_are_given_up_and_others_answered(
    server: Served, connections: list[socket.socket], cell: bytes
) -> None:
    for connection in connections:
        connection.sendall(cell[: len(cell) // 2])
    assert send(server.port, cell).status == 200
    for connection in connections:
        answer = read_answer(connection)
        assert answer.status == 408, answer.body
        assert schema_complaint(answer) is None


def test_clients_that_do_not_read(server: Served, cell: bytes) -> None:
    """Requests whose responses are larger than a socket's buffer."""
    batch = request(form(*[part(saved(picture(), "PNG"))] * 24), target="/predict/batch?heatmaps=true")
    with ExitStack() as stack:
        waiting = []
        for _ in range(2):
            connection = stack.enter_context(socket.socket())
            connection.settimeout(60)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(batch)
            assert connection.recv(1, socket.MSG_PEEK), "its answer has begun"
            waiting.append(connection)
        assert send(server.port, cell).status == 200
        for connection in waiting:
            answer = read_answer(connection)
            assert answer.status == 200
            assert len(answer.json()["results"]) == 24


def test_idle_and_half_closed_connections(server: Served, connections: list[socket.socket], cell: bytes) -> None:
    for connection in connections[::2]:
        connection.shutdown(socket.SHUT_WR)
    assert send(server.port, cell).status == 200
    assert send(server.port, cell, half_close=True).status in (200, CLOSED)


def test_clients_that_leave(server: Served, cell: bytes) -> None:
    body = form(*[part(saved(picture(), "PNG"))] * 4)
    for payload in (cell, request(body, target="/predict/batch")):
        for share in (0.1, 0.9, 1.0):
            for _ in range(8):
                abandon(server.port, payload, share=share, after_s=0.005)
    deadline = time.monotonic() + 60
    while (answer := send(server.port, cell)).status == 429 and time.monotonic() < deadline:
        time.sleep(0.2)  # what was sent in full is worked on, whether or not somebody waits for it
    assert answer.status == 200
