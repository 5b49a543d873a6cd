"""Check the answers of language models.

The guard is a filter, not a proof, and strict on purpose: after a wrong rejection the next provider or the rules write
the report, while a wrongly accepted answer costs trust. Class, probabilities and review flags do not depend on it: they
are never read from an answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from wbc.explain import vocabulary
from wbc.explain.exchange import Answer
from wbc.explain.facts import Facts, numbers
from wbc.explain.rules import MAX_WORDS, compose, prose
from wbc.explain.vocabulary import fold
from wbc.explain.wording import wording

MAX_WORDS_BETWEEN = 6
"""Maximum number of words between "runner-up" and the name of the class."""


def objection(answer: Answer, facts: Facts, language: str) -> str | None:
    """Return the first objection to an answer as a stable word; None if it is acceptable.

    empty: the summary is empty.
    markup: a link, markup, invisible characters or letters of another script.
    too_long: the complete report would be longer than `MAX_WORDS`.
    wrong_class: another class or cell is named as the class, or the class is denied.
    class_missing: the summary does not name the class in the language of the report.
    invented_number: a number that is not among `facts.numbers`, in digits or in words.
    medical_claim: a disease, a finding, a treatment or a person.
    overclaim: certainty, or a claim that no review is needed.
    """
    raw = " ".join(prose(answer))
    text = fold(raw)
    harmless = vocabulary.HARMLESS.sub(" ", text)
    objections: dict[str, Callable[[], bool]] = {
        "empty": lambda: not answer.summary.strip(),
        "markup": lambda: _has_markup(raw),
        "too_long": lambda: len(compose(answer, facts, language).split()) > MAX_WORDS,
        "wrong_class": lambda: any(_names_another(sentence, facts) for sentence in re.split(r"[.!?;](?!\d)", text)),
        "class_missing": lambda: not _names_class(answer.summary, facts, language),
        "invented_number": lambda: _invents_number(harmless, facts, language),
        "medical_claim": lambda: vocabulary.MEDICAL.search(vocabulary.ANY_CLASS.sub(" ", harmless)) is not None,
        "overclaim": lambda: vocabulary.OVERCLAIM.search(text) is not None,
    }
    return next((word for word, holds in objections.items() if holds()), None)


def _has_markup(text: str) -> bool:
    return vocabulary.LINK.search(text) is not None or not all(
        character in vocabulary.SYMBOLS
        or character.isdigit()
        or (character.isalpha() and unicodedata.name(character, "").startswith("LATIN"))
        for character in unicodedata.normalize("NFKC", text)
    )


def _names_class(summary: str, facts: Facts, language: str) -> bool:
    name = re.escape(fold(wording(language).names[facts.label]))
    return re.search(rf"\b{name}", fold(summary)) is not None


def _names_another(sentence: str, facts: Facts) -> bool:
    if vocabulary.OTHER_CELL.search(sentence) or vocabulary.denial(vocabulary.CLASS[facts.label]).search(sentence):
        return True
    return any(
        name != facts.runner_up or not _named_as_runner_up(sentence, mention)
        for name, pattern in vocabulary.CLASS.items()
        if name != facts.label
        for mention in re.finditer(rf"\b{pattern}", sentence)
    )


def _named_as_runner_up(sentence: str, mention: re.Match[str]) -> bool:
    before, after = sentence[: mention.start()], sentence[mention.end() :]
    for marker in vocabulary.SECOND_BEFORE.finditer(before):
        between = before[marker.end() :]
        claims = vocabulary.ANY_CLASS.search(between) or vocabulary.NEW_CLAIM.search(between)
        if len(between.split()) <= MAX_WORDS_BETWEEN and not claims:
            return True
    return vocabulary.SECOND_AFTER.search(after) is not None and vocabulary.ASSERTED.search(before) is None


def _invents_number(text: str, facts: Facts, language: str) -> bool:
    printed = {number.lstrip("<>") for number in numbers(facts).values()}
    for found in vocabulary.NUMBER.findall(text):
        if re.sub("[−–]", "-", found).replace(",", ".") not in printed:
            return True
    expected = f"{wording(language).nucleus[facts.label]} {wording(language).cytoplasm[facts.label]}"
    allowed = set(re.findall(r"[a-z]+", fold(expected)))
    counts = vocabulary.COUNTS[language]
    if facts.shape is not None and facts.shape.lobes < len(counts):
        allowed.add(counts[facts.shape.lobes])
    return bool(set(re.findall(r"[a-z]+", text)) & vocabulary.NUMBER_WORDS[language] - allowed)
