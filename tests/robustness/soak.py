"""Soak test: thousands of good and bad requests of every kind, and their effect on memory."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tests.drawn import drawn_cell
from tests.robustness.bad_images import bad_images
from tests.robustness.bad_requests import BadRequest
from tests.robustness.corpus import corpus, large_upload, schema_complaint, tried
from tests.robustness.processes import resident_bytes
from tests.robustness.wire import Answer, abandon, form, part, request, send, upload
from tests.served import Served
from wbc.images import encode_jpeg, encode_png
from wbc.labels import CLASSES

DEADLINE_S = 60.0
PLANNED = frozenset({429, 503})
"""Statuses that a sound request may get under load."""
SHARES = {"sound": 0.45, "report": 0.10, "explain": 0.05, "batch": 0.05, "bad": 0.27, "abandoned": 0.08}
"""Kinds of requests and their shares."""
WARM_UP = 0.2
"""Share of the requests that memory is not judged by."""


@dataclass(frozen=True, slots=True)
class SoakOutcome:
    """Outcome of a soak.

    Attributes:
        requests: in all.
        seconds: they took.
        kinds: how many of each kind.
        statuses: how often each status was answered; 0 for a connection that was closed.
        warm_mb: resident memory of all processes of the server together after the warm-up.
        end_mb: the same at the end.
        highest_mb: the highest of the times between.
        wrong: what should not be, in words.
    """

    requests: int
    seconds: float
    kinds: dict[str, int]
    statuses: dict[int, int]
    warm_mb: float
    end_mb: float
    highest_mb: float
    wrong: list[str]

    @property
    def growth(self) -> float:
        """Of memory after the warm-up, as a share of it."""
        return self.end_mb / self.warm_mb - 1.0

    def complaints(self, most_growth: float) -> list[str]:
        """Describe the violations, including memory growth beyond a share."""
        grown = f"memory grew by {self.growth:.1%} from {self.warm_mb:.0f} MB"
        return [*self.wrong, *([grown] if self.growth > most_growth else [])]


def soak(server: Served, count: int, *, callers: int = 4) -> SoakOutcome:
    """Send so many requests, the same ones in every run, and judge each answer.

    Args:
        server: running.
        count: requests in all.
        callers: threads that send them.
    """
    kinds, statuses, wrong = Counter[str](), Counter[int](), list[str]()
    lock = threading.Lock()

    def one(number: int) -> None:
        kind, ask = _request(number)
        status, complaint = ask(server.port)
        with lock:
            kinds[kind] += 1
            if status is not None:
                statuses[status] += 1
            if complaint:
                wrong.append(f"request {number}, {kind}: {complaint}")

    def run(pool: ThreadPoolExecutor, numbers: Sequence[int]) -> float:
        list(pool.map(one, numbers))
        return resident_bytes(server) / 1e6

    start, warm_up = time.monotonic(), round(count * WARM_UP)
    with ThreadPoolExecutor(callers) as pool:
        # The largest image in every thread that decodes: the allocator keeps a part of what it took.
        list(pool.map(lambda _: send(server.port, large_upload(), deadline_s=DEADLINE_S), range(2 * callers)))
        warm = run(pool, range(warm_up))
        bounds = np.linspace(warm_up, count, 9).astype(int).tolist()
        memory = [run(pool, range(first, last)) for first, last in itertools.pairwise(bounds)]
    seconds = time.monotonic() - start
    return SoakOutcome(count, seconds, dict(kinds), dict(statuses), warm, memory[-1], max(memory), wrong)


Ask = Callable[[int], tuple[int | None, str | None]]
"""Sends a request to a port; returns the status and the fault in the response, each None if there is none."""


def _request(number: int) -> tuple[str, Ask]:
    """The kind of a request and how to send it, by its number."""
    rng = np.random.default_rng(number)
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    cell = _cells()[int(rng.integers(len(_cells())))]
    if kind == "bad":
        case = corpus()[int(rng.integers(len(corpus())))]
        return kind, lambda port: _bad(port, case)
    if kind == "abandoned":
        share, after_s = float(rng.choice([0.5, 1.0])), float(rng.uniform(0, 0.05))
        return kind, lambda port: _abandoned(port, upload(cell), share, after_s)
    if kind == "batch":
        spoiled = [image.data for image in bad_images() if image.statuses == {400}]
        files = [part(_cells()[int(index)]) for index in rng.integers(len(_cells()), size=3)]
        files.insert(int(rng.integers(4)), part(spoiled[int(rng.integers(len(spoiled)))]))
        return kind, lambda port: _good(port, request(form(*files), target="/predict/batch"), _batch_complaint)
    target = {"sound": "/predict?explain=false", "report": "/predict?language=tr", "explain": "/explain"}[kind]
    return kind, lambda port: _good(port, upload(cell, target=target), None)


@lru_cache(maxsize=1)
def _cells() -> tuple[bytes, ...]:
    """Valid images: two of each class, each as PNG and as JPEG."""
    rng = np.random.default_rng(11)
    pictures = [drawn_cell(label, rng, 160) for label in CLASSES for _ in range(2)]
    return tuple(encode(each) for each in pictures for encode in (encode_png, encode_jpeg))


def _bad(port: int, case: BadRequest) -> tuple[int | None, str | None]:
    answer, wrong = tried(port, case)
    if answer is not None and answer.status == 429:
        return 429, schema_complaint(answer)
    return answer.status if answer else None, wrong


def _abandoned(port: int, payload: bytes, share: float, after_s: float) -> tuple[None, None]:
    abandon(port, payload, share=share, after_s=after_s)
    return None, None


def _good(port: int, payload: bytes, judge: Callable[[Answer], str | None] | None) -> tuple[int | None, str | None]:
    try:
        answer = send(port, payload, deadline_s=DEADLINE_S)
    except TimeoutError:
        return None, f"no answer within {DEADLINE_S:g} s"
    if answer.status in PLANNED:
        return answer.status, schema_complaint(answer)
    if answer.status != 200:
        return answer.status, f"answered {answer.status}: {answer.body[:200]!r}"
    return 200, judge(answer) if judge else None


def _batch_complaint(answer: Answer) -> str | None:
    failed = sum("error" in result for result in answer.json()["results"])
    return None if failed == 1 else f"{failed} of 4 files failed, of which one is damaged"
