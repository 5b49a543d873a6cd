"""Admission control: limits on concurrent uploads and on images in progress.

A request counts as work only once its body has arrived, so that a stalled upload does not block complete requests. If
all places for work are taken, a request is refused before its body is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from wbc.errors import DeadlineExceeded, Overloaded, UploadTimeout
from wbc.settings import Settings

BATCH_FAN_OUT = 8
"""Maximum number of files of one batch in progress: enough to fill a forward pass, few next to single requests."""


class Slots:
    """A counter with a maximum; acquiring never waits."""

    def __init__(self, count: int, noun: str) -> None:
        self.count, self.noun, self.taken = count, noun, 0

    def check(self, wanted: int = 1) -> None:
        """Raise `Overloaded` if fewer slots than wanted are free."""
        if self.taken + wanted > self.count:
            raise Overloaded(f"{self.taken} of {self.count} {self.noun} are in progress; try again in a second")

    @asynccontextmanager
    async def acquire(self, wanted: int = 1) -> AsyncIterator[None]:
        """Hold slots while the context is open, or raise `Overloaded`."""
        self.check(wanted)
        self.taken += wanted
        try:
            yield
        finally:
            self.taken -= wanted


class Admission:
    """The limits of one process.

    A single request takes one of `max_concurrency` slots. A batch takes one for each file that it processes at once,
    `fan_out`, and all batches together take at most half of the slots: the other half is left to single requests.
    """

    def __init__(self, settings: Settings) -> None:
        self.upload_timeout_s, self.request_timeout_s = settings.upload_timeout_s, settings.request_timeout_s
        half = max(1, settings.max_concurrency // 2)
        self.fan_out = min(BATCH_FAN_OUT, half)
        self.images = Slots(settings.max_concurrency, "images")
        self.uploads = Slots(settings.max_uploads, "uploads")
        self.batches = Slots(half // self.fan_out, "batches")

    def admit_batch(self) -> AbstractAsyncContextManager[None]:
        """Hold one of the slots for batches, from before the body is read until the response."""
        return self.batches.acquire()

    @asynccontextmanager
    async def admit_upload(self, images: int = 1) -> AsyncIterator[None]:
        """Limit the time in which a body arrives.

        Args:
            images: slots that the request will need afterwards.

        Raises:
            Overloaded: these slots are taken, or too many uploads are in progress.
            UploadTimeout: the body did not arrive in time.
        """
        self.images.check(images)
        async with self.uploads.acquire():
            try:
                async with asyncio.timeout(self.upload_timeout_s):
                    yield
            except TimeoutError:
                raise UploadTimeout(f"the request body did not arrive within {self.upload_timeout_s:g} s") from None

    @asynccontextmanager
    async def admit_work(self, images: int = 1) -> AsyncIterator[None]:
        """Limit the time in which a complete request is processed.

        Args:
            images: slots that it needs.

        Raises:
            Overloaded: the slots are taken.
            DeadlineExceeded: processing took too long.
        """
        async with self.images.acquire(images):
            try:
                async with asyncio.timeout(self.request_timeout_s):
                    yield
            except TimeoutError:
                raise DeadlineExceeded(f"no result within {self.request_timeout_s:g} s; try again later") from None
