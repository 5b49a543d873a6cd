"""Callers that send one request after the other until they are told to stop."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import httpx

from tests.robustness.wire import CLOSED, Answer, send

RETRIABLE = frozenset({429, 503, CLOSED})
"""Statuses that a client may get during a fault: retry later, or a closed connection."""


class Load:
    """Sends requests from several threads for as long as the context is open.

    Args:
        port: on the loopback interface.
        payloads: requests, taken in turn.
        callers: threads.
        deadline_s: longest wait for an answer.

    Attributes:
        answers: in the order of their arrival; a refused connection is `CLOSED`.
        hung: how many requests were not answered in time.
    """

    def __init__(self, port: int, payloads: Sequence[bytes], *, callers: int = 3, deadline_s: float = 90.0) -> None:
        self.port, self.payloads, self.deadline_s = port, payloads, deadline_s
        self.answers: list[Answer] = []
        self.hung = 0
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(callers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(2 * self.deadline_s)

    @property
    def statuses(self) -> Counter[int]:
        """Count of each status."""
        return Counter(answer.status for answer in self.answers)

    def answered(self, status: int, count: int, within_s: float) -> bool:
        """Wait until this many further responses have a status; return true if they arrived in time."""
        wanted, end = self.statuses[status] + count, time.monotonic() + within_s
        while self.statuses[status] < wanted:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def _call(self, number: int) -> None:
        while not self._stopped.is_set():
            try:
                answer = send(self.port, self.payloads[number % len(self.payloads)], deadline_s=self.deadline_s)
            except TimeoutError:
                self.hung += 1
                continue
            except ConnectionError:
                answer = Answer(CLOSED)
            self.answers.append(answer)
            number += 1
            if answer.status in RETRIABLE:
                self._stopped.wait(0.2)


def seconds_until_ready(url: str, ready: bool, within_s: float) -> float | None:
    """Return the seconds until `/readyz` returns 200, or another status if `ready` is false; None after the timeout."""
    start = time.monotonic()
    while time.monotonic() - start < within_s:
        try:
            status = httpx.get(f"{url}/readyz", timeout=5).status_code
        except httpx.TransportError:
            status = CLOSED
        if (status == 200) == ready:
            return time.monotonic() - start
        time.sleep(0.1)
    return None
