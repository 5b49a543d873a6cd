"""Faults in the middle of a load: a killed service, and the signal to go."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.robustness.load import RETRIABLE, Load, seconds_until_ready
from tests.robustness.processes import worker
from tests.robustness.wire import CLOSED, Answer, send
from tests.served import Served

UNREADY_WITHIN_S = 10.0
READY_WITHIN_S = 180.0


@dataclass(frozen=True, slots=True)
class KillOutcome:
    """Outcome of killing a service under load.

    Attributes:
        service: whose process was killed.
        statuses: how often each status was answered, from before the kill until after the recovery; 0 for a
            connection that was closed.
        hung: requests without an answer.
        unready_after_s: until `/readyz` said so; None where it did not within `UNREADY_WITHIN_S`.
        ready_after_s: from there until it was ready; None where it was not within `READY_WITHIN_S`.
        resumed: whether there is another process, and sound answers came again.
    """

    service: str
    statuses: dict[int, int]
    hung: int
    unready_after_s: float | None
    ready_after_s: float | None
    resumed: bool

    def complaints(self) -> list[str]:
        """Describe the violations."""
        wrong = sorted(set(self.statuses) - {200} - RETRIABLE)
        found = {
            f"statuses {wrong}": bool(wrong),
            f"{self.hung} requests hung": self.hung > 0,
            f"ready all of {UNREADY_WITHIN_S:g} s after the kill": self.unready_after_s is None,
            f"not ready {READY_WITHIN_S:g} s later": self.ready_after_s is None,
            "no other process, or no sound answer afterwards": not self.resumed,
        }
        return [f"{self.service} killed: {what}" for what, true in found.items() if true]


def kill_in_mid_load(server: Served, service: str, payloads: Sequence[bytes]) -> KillOutcome:
    """Kill the process of a service while requests come, and wait until the service resumes.

    Args:
        server: running, with that service.
        service: its name.
        payloads: requests that the service takes part in.
    """
    with Load(server.port, payloads) as load:
        assert load.answered(200, 3, 60), f"no sound answers before the kill: {load.statuses}"
        process = worker(server, service)
        assert process is not None, f"no process serves {service}"
        process.kill()
        unready = seconds_until_ready(server.url, False, UNREADY_WITHIN_S)
        ready = seconds_until_ready(server.url, True, READY_WITHIN_S)
        successor = worker(server, service)
        resumed = load.answered(200, 5, 60) and successor is not None and successor.pid != process.pid
    return KillOutcome(service, dict(load.statuses), load.hung, unready, ready, resumed)


@dataclass(frozen=True, slots=True)
class TermOutcome:
    """Outcome of SIGTERM for the requests in progress.

    Attributes:
        statuses: of these requests; 0 for a connection that was closed.
        exit_code: of the supervisor; None where it did not end.
        seconds: until it had ended.
    """

    statuses: list[int]
    exit_code: int | None
    seconds: float

    def complaints(self) -> list[str]:
        """Describe the violations."""
        lost = [status for status in self.statuses if status != 200]
        found = {f"{len(lost)} requests in flight ended with {lost}": bool(lost), "did not end": self.exit_code is None}
        return [f"SIGTERM: {what}" for what, true in found.items() if true]


def terminate_in_mid_load(server: Served, payload: bytes, *, requests: int = 3) -> TermOutcome:
    """Send SIGTERM to the supervisor, as a platform does, while requests are being worked on.

    Args:
        server: running; ended afterwards.
        payload: a request that takes longer than a moment.
        requests: how many are in flight.
    """
    answers: list[Answer] = []

    def call() -> None:
        try:
            answers.append(send(server.port, payload, deadline_s=90))
        except (TimeoutError, ConnectionError):
            answers.append(Answer(CLOSED))

    threads = [threading.Thread(target=call) for _ in range(requests)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)  # all of them are accepted
    early = len(answers)
    start = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    try:
        code: int | None = server.process.wait(60)
    except subprocess.TimeoutExpired:
        code = None
    assert early < requests, "the requests were answered before the signal: it found nothing in flight"
    return TermOutcome([answer.status for answer in answers], code, time.monotonic() - start)
