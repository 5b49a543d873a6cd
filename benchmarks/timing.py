"""Timing a piece of work: warmed up, repeated, in milliseconds; and holding a process to one core."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import cv2

from benchmarks.record import Spread

T = TypeVar("T")


def spread(work: Callable[[T], object], items: Sequence[T], repeats: int, *, warm_up: int = 3) -> Spread:
    """How long work on an item takes, the items in turn.

    Args:
        work: what is timed.
        items: at least one.
        repeats: how often it is timed.
        warm_up: how often it is done before.
    """
    for index in range(warm_up):
        work(items[index % len(items)])
    taken = []
    for index in range(repeats):
        item = items[index % len(items)]
        started = time.perf_counter()
        work(item)
        taken.append(time.perf_counter() - started)
    return Spread.of(taken)


@contextmanager
def one_core() -> Iterator[int]:
    """This thread on one of its cores, and OpenCV without threads of its own; gives the core's number."""
    allowed, threads = os.sched_getaffinity(0), cv2.getNumThreads()
    core = max(allowed)
    os.sched_setaffinity(0, {core})
    cv2.setNumThreads(1)
    try:
        yield core
    finally:
        os.sched_setaffinity(0, allowed)
        cv2.setNumThreads(threads)
