"""Who is let in: bounded numbers of uploads being received and of images being worked on.

A body is received before it counts as work, so that a stalled upload takes nothing from requests that are complete. A
request that comes while all work is taken is refused before its body is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wbc.errors import DeadlineExceeded, Overloaded, UploadTimeout
from wbc.settings import Settings

BATCH_FAN_OUT = 8
"""Most files of one batch that are worked on at once: enough to fill a forward pass, few beside the single requests."""


class Slots:
    """A bounded number of places; nobody waits for one."""

    def __init__(self, count: int, noun: str) -> None:
        self.count, self.noun, self.taken = count, noun, 0

    def check(self, wanted: int = 1) -> None:
        """Refuse where so many are not free.

        Raises:
            Overloaded: they are not.
        """
        if self.taken + wanted > self.count:
            raise Overloaded(
                f"{self.taken} of {self.count} {self.noun} are in progress and {wanted} more cannot be taken on now; "
                "try again in a second"
            )

    @asynccontextmanager
    async def hold(self, wanted: int = 1) -> AsyncIterator[None]:
        """Take places, for as long as the context is open.

        Raises:
            Overloaded: so many are not free.
        """
        self.check(wanted)
        self.taken += wanted
        try:
            yield
        finally:
            self.taken -= wanted


class Admission:
    """The bounds of one process.

    Single requests take one place of `max_concurrency`. A batch takes a place for each of the files that it works on at
    once, `fan_out`, and all batches together at most half of the places: single requests always find the other half.
    """

    def __init__(self, settings: Settings) -> None:
        self.upload_timeout_s, self.request_timeout_s = settings.upload_timeout_s, settings.request_timeout_s
        half = max(1, settings.max_concurrency // 2)
        self.fan_out = min(BATCH_FAN_OUT, half)
        self.images = Slots(settings.max_concurrency, "images")
        self.uploads = Slots(settings.max_uploads, "uploads")
        self.batches = Slots(half // self.fan_out, "batches")

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[None]:
        """One of the batches, from before its body is received until its answer.

        Raises:
            Overloaded: as many as are taken on are in progress.
        """
        async with self.batches.hold():
            yield

    @asynccontextmanager
    async def receiving(self, images: int = 1) -> AsyncIterator[None]:
        """The time in which a body arrives.

        Args:
            images: places that the request will need once it is there.

        Raises:
            Overloaded: the places are taken, or too many uploads are being received.
            UploadTimeout: the body was not there in time.
        """
        self.images.check(images)
        async with self.uploads.hold():
            try:
                async with asyncio.timeout(self.upload_timeout_s):
                    yield
            except TimeoutError:
                raise UploadTimeout(
                    f"the request body did not arrive within {self.upload_timeout_s:g} s, the longest that is waited"
                ) from None

    @asynccontextmanager
    async def working(self, images: int = 1) -> AsyncIterator[None]:
        """The time in which a received request is answered.

        Args:
            images: places that it needs.

        Raises:
            Overloaded: they are taken.
            DeadlineExceeded: there was no answer in time.
        """
        async with self.images.hold(images):
            try:
                async with asyncio.timeout(self.request_timeout_s):
                    yield
            except TimeoutError:
                raise DeadlineExceeded(f"no answer within {self.request_timeout_s:g} s; try again later") from None
