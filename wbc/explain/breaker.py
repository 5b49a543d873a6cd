"""A circuit breaker that suspends a provider after repeated failures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """After `failures` in a row the circuit opens for `cooldown_s`; then one request is allowed as a test."""

    failures: int = 3
    cooldown_s: float = 60.0


class Breaker:
    """Circuit of one provider.

    Each `acquire` that returns true must be followed by one of `record_success`, `record_failure` and `release`.
    """

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._opened_at = 0.0
        self._testing = False

    @property
    def ready(self) -> bool:
        """True if a request would be allowed now."""
        if self._failures < self._settings.failures:
            return True
        return not self._testing and self._clock() - self._opened_at >= self._settings.cooldown_s

    def acquire(self) -> bool:
        """Return true if a request is allowed."""
        if not self.ready:
            return False
        self._testing = self._failures >= self._settings.failures
        return True

    def record_success(self) -> None:
        """Close the circuit."""
        self._failures = 0
        self._testing = False

    def record_failure(self) -> None:
        """Count a failure."""
        self._failures += 1
        self._opened_at = self._clock()
        self._testing = False

    def release(self) -> None:
        """End a request that says nothing about the provider, such as a cancelled one."""
        self._testing = False
