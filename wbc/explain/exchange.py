"""What goes out to a language model and what comes back: the seam at which providers, real or fake, are put in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from wbc.explain.wording import Fit


class Answer(BaseModel):
    """What a provider answers. It has no field for a class or a probability: those are not asked for.

    Attributes:
        summary: the prediction in a sentence or two.
        map_highlights: what the activation map highlights.
        fits_morphology: whether that fits the expected morphology of the class.
        concern: what a reader should doubt; empty where there is nothing.
    """

    model_config = ConfigDict(extra="forbid")

    summary: str
    map_highlights: str
    fits_morphology: Fit
    concern: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent to a provider, whole.

    Attributes:
        system: the instructions.
        user: the facts.
        picture: PNG bytes of the overlay without metadata, or None.
    """

    system: str
    user: str
    picture: bytes | None = None


class ProviderError(Exception):
    """A provider wrote no report; `reason` is one stable word that holds nothing of the request."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Provider(Protocol):
    """One language model."""

    @property
    def name(self) -> str:
        """Who wrote the report, as it is told to the reader."""

    async def ask(self, request: Request) -> Answer:
        """One answer.

        Raises:
            ProviderError: there is none.
        """

    async def warm_up(self) -> None:
        """Import and build what the first question would otherwise wait for; nothing is sent."""

    async def aclose(self) -> None:
        """Close the connections."""
