"""A report on one cell."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from wbc.explain.wording import Language

RULES = "rules"
"""Provider name of reports without a language model."""


class Failure(BaseModel):
    """Provider that did not write the report, with a stable word for the reason."""

    model_config = ConfigDict(frozen=True)

    provider: str
    reason: str


class Report(BaseModel):
    """A report on one cell.

    Attributes:
        text: at most 120 words.
        provider: "rules", or the name of a language model such as "openai/gpt-4o".
        language: "en" or "tr".
        failures: providers that failed before, in order.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    provider: str
    language: Language
    failures: tuple[Failure, ...] = ()
