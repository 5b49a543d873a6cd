"""HTTP/1.1 over a raw socket, for requests that no client library sends."""

from __future__ import annotations

import http.client
import json
import select
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

BOUNDARY = "cellboundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
PREDICT = "/predict?explain=false"
CLOSED = 0
"""Status of a connection that was closed without a response."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response.

    Attributes:
        status: of the answer, or `CLOSED`.
        headers: names in lower case.
        body: its bytes.
        seconds: from the connection to the last byte.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


def request(
    body: bytes = b"",
    *,
    method: str = "POST",
    target: str = PREDICT,
    headers: Sequence[str] = (f"Content-Type: {FORM}",),
) -> bytes:
    """A whole request; Content-Length is added unless the headers speak of a length themselves."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    if not any(line.lower().startswith(("content-length:", "transfer-encoding:")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def part(data: bytes, disposition: bytes = b'form-data; name="file"; filename="cell.png"', *more: bytes) -> bytes:
    """One part of a multipart body, from its boundary to the line break behind its data."""
    head = b"\r\n".join([b"--" + BOUNDARY.encode(), b"Content-Disposition: " + disposition, *more])
    return head + b"\r\n\r\n" + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A multipart body of these parts."""
    return b"".join(parts) + b"--" + BOUNDARY.encode() + b"--\r\n"


def upload(data: bytes, *, target: str = PREDICT) -> bytes:
    """A request as a browser sends it, with one image."""
    return request(form(part(data)), target=target)


def send(
    port: int,
    payload: bytes,
    *,
    deadline_s: float = 20.0,
    half_close: bool = False,
    to_the_end: bool = False,
    method: str = "POST",
) -> Answer:
    """Send bytes and read one answer.

    Args:
        port: on the loopback interface.
        payload: sent until all of it is out or an answer comes.
        deadline_s: longest silence of the server.
        half_close: end the sending direction behind the payload.
        to_the_end: send all of it whatever is answered meanwhile, as a browser does.
        method: of the request; an answer to HEAD has no body.

    Raises:
        TimeoutError: the server was silent for longer than the deadline: a hang.
    """
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=deadline_s) as connection:
        view = memoryview(payload)
        try:
            for at in range(0, len(view), 65536):
                if not to_the_end and select.select([connection], [], [], 0)[0]:
                    break
                connection.sendall(view[at : at + 65536])
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused while sending; the answer, if there is one, is read below
        answer = read_answer(connection, method)
    return replace(answer, seconds=time.monotonic() - start)


def read_answer(connection: socket.socket, method: str = "POST") -> Answer:
    """Read one response to a request that was already sent; `seconds` is unknown."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = response.read()
    except (ConnectionError, http.client.HTTPException):
        return Answer(CLOSED)
    finally:
        response.close()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def abandon(port: int, payload: bytes, *, share: float, after_s: float) -> None:
    """Send a share of a request, wait, and leave as a killed client does: with a reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(payload[: round(len(payload) * share)])
        time.sleep(after_s)
