"""A circuit breaker: a provider that keeps failing is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """After `failures` in a row the circuit is open for `cooldown_s`; then one question is let through as a test."""

    failures: int = 3
    cooldown_s: float = 60.0


class Breaker:
    """The circuit of one provider.

    Every `enter` that answers True is followed by exactly one of `succeeded`, `failed` and `abandoned`.
    """

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._opened_at = 0.0
        self._testing = False

    @property
    def ready(self) -> bool:
        """Whether a question would be let through now."""
        if self._failures < self._settings.failures:
            return True
        return not self._testing and self._clock() - self._opened_at >= self._settings.cooldown_s

    def enter(self) -> bool:
        """Let a question through, or not."""
        if not self.ready:
            return False
        self._testing = self._failures >= self._settings.failures
        return True

    def succeeded(self) -> None:
        """The provider answered."""
        self._failures = 0
        self._testing = False

    def failed(self) -> None:
        """The provider failed."""
        self._failures += 1
        self._opened_at = self._clock()
        self._testing = False

    def abandoned(self) -> None:
        """The question was withdrawn before it told anything about the provider."""
        self._testing = False
