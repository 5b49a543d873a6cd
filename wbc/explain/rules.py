"""The report that needs no language model: fixed sentences, filled with the facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from wbc.errors import InvalidParameter
from wbc.explain.english import ENGLISH
from wbc.explain.facts import REVIEW_REASONS, Facts, numbers
from wbc.explain.turkish import TURKISH
from wbc.explain.wording import Language, Wording

WORDINGS: Mapping[Language, Wording] = {"en": ENGLISH, "tr": TURKISH}
MAX_WORDS = 120
"""Most words in a report, whoever wrote it."""


def wording(language: str) -> Wording:
    """The sentences of one language.

    Raises:
        InvalidParameter: there is no report in that language.
    """
    try:
        return WORDINGS[cast(Language, language)]
    except KeyError:
        raise InvalidParameter(
            f"language is {language!r}; reports are written in {' and '.join(map(repr, WORDINGS))}"
        ) from None


def rule_report(facts: Facts, language: str) -> str:
    """A report of at most `MAX_WORDS` words, with the same numbers in every language.

    Raises:
        InvalidParameter: there is no report in that language.
    """
    words = wording(language)
    sentences = [_prediction(facts, words), _focus(facts, words), _morphology(facts, words)]
    if facts.shape is not None:
        sentences.append(_measured(facts, words))
    return " ".join([*sentences, *closing_sentences(facts, language)])


def closing_sentences(facts: Facts, language: str) -> list[str]:
    """What ends every report, whoever wrote it: whether a person must look and why, and what the report is for."""
    words = wording(language)
    reasons = [words.review[reason] for reason in REVIEW_REASONS if reason in facts.review_reasons]
    look = words.must_look.format(reasons="; ".join(reasons)) if reasons else words.not_flagged
    return [look, words.closing]


def percent(number: str, words: Wording) -> str:
    """A printed number of `numbers` as a percentage, a bound in words."""
    if number.startswith(">"):
        return words.percent_over.format(number[1:])
    return (words.percent_under if number.startswith("<") else words.percent).format(number.removeprefix("<"))


def _prediction(facts: Facts, words: Wording) -> str:
    printed = numbers(facts)
    return words.prediction.format(
        label=words.names[facts.label],
        confidence=percent(printed["confidence"], words),
        runner_up=words.names[facts.runner_up],
        runner_up_probability=percent(printed["runner_up_probability"], words),
    )


def _focus(facts: Facts, words: Wording) -> str:
    printed = numbers(facts)
    if "focus_lift" not in printed:
        return words.no_focus
    return words.focus.format(
        focus_ratio=percent(printed["focus_ratio"], words),
        focus_coverage=percent(printed["focus_coverage"], words),
        focus_lift=printed["focus_lift"],
        verdict=words.focus_more if float(printed["focus_lift"]) > 0 else words.focus_no_more,
    )


def _morphology(facts: Facts, words: Wording) -> str:
    return words.expected.format(nucleus=words.nucleus[facts.label], cytoplasm=words.cytoplasm[facts.label])


def _measured(facts: Facts, words: Wording) -> str:
    printed = numbers(facts)
    lobes = words.one_lobe if printed["lobes"] == "1" else words.lobes
    return words.measured.format(
        nucleus_share=percent(printed["nucleus_share"], words),
        solidity=printed["solidity"],
        lobes=lobes.format(printed["lobes"]),
    )
