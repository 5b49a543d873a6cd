"""Requests to language models, their answers, and the interface of a provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from wbc.explain.wording import Fit


class Answer(BaseModel):
    """Answer of a language model; it has no field for a class or a probability.

    Attributes:
        summary: the prediction in one or two sentences.
        map_highlights: what the activation map highlights.
        fits_morphology: verdict on the expected morphology of the class.
        concern: a doubt for the reader, or empty.
    """

    model_config = ConfigDict(extra="forbid")

    summary: str
    map_highlights: str
    fits_morphology: Fit
    concern: str


@dataclass(frozen=True, slots=True)
class Request:
    """Complete request to a provider.

    Attributes:
        system: the instructions.
        user: the facts.
        picture: PNG bytes of the overlay without metadata, or None.
    """

    system: str
    user: str
    picture: bytes | None = None


class ProviderError(Exception):
    """A provider failed; `reason` is a stable word that contains nothing of the request."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Provider(Protocol):
    """A language model."""

    @property
    def name(self) -> str:
        """Name shown as the author of a report."""

    async def ask(self, request: Request) -> Answer:
        """Send a request and return the answer.

        Raises:
            ProviderError: there is no valid answer.
        """

    async def warm_up(self) -> None:
        """Import the SDK and create the client ahead of the first request; sends nothing."""

    async def aclose(self) -> None:
        """Close the connections."""
