"""Repeated timing of a function."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import cv2

from benchmarks.record import Spread

T = TypeVar("T")


def time_repeats(work: Callable[[T], object], items: Sequence[T], repeats: int, *, warm_up: int = 3) -> Spread:
    """Time `work` on the items in turn, after `warm_up` untimed calls."""
    seconds = []
    for index in range(warm_up + repeats):
        item = items[index % len(items)]
        started = time.perf_counter()
        work(item)
        seconds.append(time.perf_counter() - started)
    return Spread.of(seconds[warm_up:])


@contextmanager
def pin_to_one_core() -> Iterator[int]:
    """Run this thread on one core and OpenCV without threads; yields the core's number."""
    allowed, threads = os.sched_getaffinity(0), cv2.getNumThreads()
    core = max(allowed)
    os.sched_setaffinity(0, {core})
    cv2.setNumThreads(1)
    try:
        yield core
    finally:
        os.sched_setaffinity(0, allowed)
        cv2.setNumThreads(threads)
