"""HTTP load generator: multipart uploads at scheduled times or from a fixed number of callers.

An open load is scheduled in advance, and latency counts from the scheduled time rather than the time of sending, so
that requests delayed by a stalled server are included (Tene 2013: coordinated omission). The generator runs in its own
process (`spawn_generator`).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import aiohttp
import numpy as np

from benchmarks.record import Traffic


@dataclass(frozen=True, slots=True)
class Requests:
    """Request bodies, posted to `url` in turn; a request without a response after `timeout_s` has failed."""

    url: str
    bodies: tuple[bytes, ...]
    content_type: str
    timeout_s: float = 60.0

    @classmethod
    def from_files(cls, url: str, files: Sequence[bytes], *, timeout_s: float = 60.0) -> Requests:
        """Encode each file as the multipart field `file`."""
        boundary = secrets.token_hex(16)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="cell.jpg"\r\n'
        head += "Content-Type: application/octet-stream\r\n\r\n"
        bodies = tuple(head.encode() + file + f"\r\n--{boundary}--\r\n".encode() for file in files)
        return cls(url, bodies, f"multipart/form-data; boundary={boundary}", timeout_s)


@dataclass(frozen=True, slots=True)
class OpenArrivals:
    """Open load: `rate` requests per second, at times that do not depend on the responses.

    Arrivals are a `poisson` process, like independent clients, or have `constant` intervals. The first `warm_up_s` of
    `duration_s` are excluded from the results.
    """

    rate: float
    duration_s: float
    warm_up_s: float = 0.0
    kind: Literal["poisson", "constant"] = "poisson"
    seed: int = 0

    def schedule(self) -> list[float]:
        """Return the time of each request in seconds from the start, ascending."""
        if self.kind == "constant":
            return [float(t) for t in np.arange(round(self.rate * self.duration_s)) / self.rate]
        rng = np.random.default_rng(self.seed)
        # Given their number, the arrivals of a Poisson process are uniformly distributed.
        count = int(rng.poisson(self.rate * self.duration_s))
        return [float(t) for t in np.sort(rng.uniform(0.0, self.duration_s, count))]


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Closed load: each of `callers` sends its next request after the response to the last one."""

    callers: int
    duration_s: float
    warm_up_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """Scheduled time, time of sending and end of a request in seconds from the start, and its status or error."""

    due: float
    sent: float
    ended: float
    status: str


def generate(requests: Requests, load: OpenArrivals | ClosedLoop) -> Traffic:
    """Send requests, wait for the last response and summarise them."""
    cpu, started = _cpu_s(), time.perf_counter()
    exchanges = asyncio.run(_open(requests, load) if isinstance(load, OpenArrivals) else _closed(requests, load))
    cores = (_cpu_s() - cpu) / (time.perf_counter() - started)
    return summarise(exchanges, load, cores)


Generate = Callable[[Requests, "OpenArrivals | ClosedLoop"], Traffic]


@contextmanager
def spawn_generator() -> Iterator[Generate]:
    """Start a process for the generator; yields `generate`, run in that process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield lambda requests, load: pool.submit(generate, requests, load).result()


def summarise(exchanges: Sequence[Exchange], load: OpenArrivals | ClosedLoop, cores: float) -> Traffic:
    """Compute throughput and latency percentiles of a load during which the generator used `cores`."""
    counted = [one for one in exchanges if one.due >= load.warm_up_s]
    times = [1e3 * (one.ended - one.due) for one in counted if one.status == "200"]
    p50, p95, p99 = (round(float(v), 2) for v in np.percentile(times, (50, 95, 99))) if times else (None,) * 3
    answered = sum(one.status == "200" and load.warm_up_s <= one.ended <= load.duration_s for one in exchanges)
    return Traffic(
        arrivals=load.kind if isinstance(load, OpenArrivals) else "closed",
        rate=round(load.rate, 3) if isinstance(load, OpenArrivals) else None,
        callers=None if isinstance(load, OpenArrivals) else load.callers,
        duration_s=load.duration_s,
        warm_up_s=load.warm_up_s,
        sent=len(exchanges),
        statuses=dict(sorted(Counter(one.status for one in counted).items())),
        throughput=round(answered / (load.duration_s - load.warm_up_s), 3),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        send_lag_p99_ms=round(float(np.percentile([1e3 * (e.sent - e.due) for e in counted], 99)), 2) if counted else 0,
        generator_cpu=round(cores, 3),
    )


async def _open(requests: Requests, load: OpenArrivals) -> list[Exchange]:
    async with _session(requests) as session, asyncio.TaskGroup() as group:
        start, tasks = time.perf_counter(), []
        for index, due in enumerate(load.schedule()):
            await asyncio.sleep(max(0.0, start + due - time.perf_counter()))
            tasks.append(group.create_task(_send(session, requests, index, start, due)))
    return [task.result() for task in tasks]


async def _closed(requests: Requests, load: ClosedLoop) -> list[Exchange]:
    exchanges: list[Exchange] = []

    async def call(caller: int) -> None:
        index = caller
        while (now := time.perf_counter() - start) < load.duration_s:
            exchanges.append(await _send(session, requests, index, start, now))
            index += load.callers

    async with _session(requests) as session, asyncio.TaskGroup() as group:
        start = time.perf_counter()
        for caller in range(load.callers):
            group.create_task(call(caller))
    return exchanges


def _session(requests: Requests) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # no limit: waiting for a connection would delay an open load
        timeout=aiohttp.ClientTimeout(total=requests.timeout_s),
        headers={"Content-Type": requests.content_type},
    )


async def _send(session: aiohttp.ClientSession, requests: Requests, index: int, start: float, due: float) -> Exchange:
    sent = time.perf_counter() - start
    body = requests.bodies[index % len(requests.bodies)]
    try:
        async with session.post(requests.url, data=body) as response:
            await response.read()
            status = str(response.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        status = f"no response: {type(error).__name__}"
    return Exchange(due, sent, time.perf_counter() - start, status)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
