"""A report on one cell, as callers get it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from wbc.explain.wording import Language

RULES = "rules"
"""Who wrote a report that no language model wrote."""


class Failure(BaseModel):
    """A provider that was asked, or passed over, and the stable word for why it did not write the report."""

    model_config = ConfigDict(frozen=True)

    provider: str
    reason: str


class Report(BaseModel):
    """A report on one cell.

    Attributes:
        text: at most 120 words.
        provider: who wrote it: "rules", or a provider's name such as "openai/gpt-4o".
        language: "en" or "tr".
        failures: the providers that did not write it, in the order in which they were asked.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    provider: str
    language: Language
    failures: tuple[Failure, ...] = ()
