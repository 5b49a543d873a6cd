"""Reports without a language model: fixed sentences, filled with the facts."""

from __future__ import annotations

from wbc.explain.exchange import Answer
from wbc.explain.facts import REVIEW_REASONS, Facts, numbers
from wbc.explain.wording import Wording, wording

MAX_WORDS = 120
"""Maximum number of words in any report."""


def rule_report(facts: Facts, language: str) -> str:
    """Write a report of at most `MAX_WORDS` words, with the same numbers in every language.

    Raises:
        InvalidParameter: the language is not supported.
    """
    words = wording(language)
    sentences = [_prediction(facts, words), _focus(facts, words), _morphology(facts, words)]
    if facts.shape is not None:
        sentences.append(_measured(facts, words))
    return " ".join([*sentences, *closing_sentences(facts, language)])


def closing_sentences(facts: Facts, language: str) -> list[str]:
    """Return the end of every report: the review reasons and the intended use."""
    words = wording(language)
    reasons = [words.review[reason] for reason in REVIEW_REASONS if reason in facts.review_reasons]
    look = words.must_look.format(reasons="; ".join(reasons)) if reasons else words.not_flagged
    return [look, words.closing]


def prose(answer: Answer) -> list[str]:
    """Return the sentences that a language model wrote freely, which the guard checks."""
    written = [" ".join(part.split()) for part in (answer.summary, answer.map_highlights, answer.concern)]
    return [part if part.endswith((".", "!", "?")) else f"{part}." for part in written if part]


def compose(answer: Answer, facts: Facts, language: str) -> str:
    """Combine an answer's sentences with our own for its verdict and the review reasons.

    A language model therefore cannot omit the review reasons.
    """
    verdict = wording(language).fits[answer.fits_morphology]
    return " ".join([*prose(answer), verdict, *closing_sentences(facts, language)])


def percent(number: str, words: Wording) -> str:
    """Format a number of `numbers` as a percentage; bounds are written in words."""
    if number.startswith(">"):
        return words.percent_over.format(number[1:])
    return (words.percent_under if number.startswith("<") else words.percent).format(number.removeprefix("<"))


def _prediction(facts: Facts, words: Wording) -> str:
    printed = numbers(facts)
    foreign = "unlike_training" in facts.review_reasons
    return words.prediction.format(
        confidence_kind=words.not_calibrated if foreign else words.calibrated,
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
