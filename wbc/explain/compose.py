"""A provider's answer as the text of a report."""

from __future__ import annotations

from wbc.explain.exchange import Answer
from wbc.explain.facts import Facts
from wbc.explain.rules import closing_sentences, wording


def prose(answer: Answer) -> list[str]:
    """The sentences that the provider wrote freely: what the guard has to read."""
    written = [" ".join(part.split()) for part in (answer.summary, answer.map_highlights, answer.concern)]
    return [part if part.endswith((".", "!", "?")) else f"{part}." for part in written if part]


def compose(answer: Answer, facts: Facts, language: str) -> str:
    """The provider's sentences, then its verdict on the morphology and what ends every report, in our own words.

    So a provider cannot leave out that a person must look, and why.
    """
    return " ".join(
        [*prose(answer), wording(language).fits[answer.fits_morphology], *closing_sentences(facts, language)]
    )
