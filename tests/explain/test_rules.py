from __future__ import annotations

import dataclasses
import itertools
import re

import pytest

from wbc.errors import InvalidParameter
from wbc.explain.exchange import Answer
from wbc.explain.facts import REVIEW_REASONS, Facts
from wbc.explain.guard import objection
from wbc.explain.rules import MAX_WORDS, rule_report
from wbc.explain.wording import WORDINGS
from wbc.labels import CLASSES


def variants(facts: Facts) -> list[Facts]:
    """Every class, with and without a focus, a shape and every reason, at ordinary and extreme probabilities."""
    reports = []
    for label, focus, shape, reasons, confidence in itertools.product(
        CLASSES, (True, False), (True, False), ((), REVIEW_REASONS), (0.973, 0.99999)
    ):
        one = dataclasses.replace(
            facts,
            label=label,
            runner_up=CLASSES[(CLASSES.index(label) + 1) % 5],
            confidence=confidence,
            runner_up_probability=min(0.014, 1 - confidence),
            review_reasons=reasons,
        )
        if not focus:
            one = dataclasses.replace(one, focus_ratio=None, focus_coverage=None, focus_lift=None)
        reports.append(one if shape else dataclasses.replace(one, shape=None))
    return reports


def digits(text: str) -> list[str]:
    return re.findall(r"-?\d+(?:\.\d+)?", text)


def test_both_languages_have_the_same_numbers_in_the_same_order(facts: Facts) -> None:
    for one in variants(facts):
        assert digits(rule_report(one, "en")) == digits(rule_report(one, "tr")) != []


@pytest.mark.parametrize("language", WORDINGS)
def test_no_report_is_over_long_or_has_a_hole(facts: Facts, language: str) -> None:
    for one in variants(facts):
        text = rule_report(one, language)
        assert len(text.split()) <= MAX_WORDS
        assert not re.search(r"[{}<>]|None|  ", text)


@pytest.mark.parametrize("language", WORDINGS)
def test_the_guard_has_no_objection_to_the_rules(facts: Facts, language: str) -> None:
    for one in variants(facts):
        first, *others = re.split(r"(?<=\.) ", rule_report(one, language))
        for sentence in others:  # one at a time, since the guard counts the closing sentences beside them
            answer = Answer(summary=first, map_highlights=sentence, fits_morphology="cannot_tell", concern="")
            assert objection(answer, one, language) is None, sentence


def test_a_report_says_what_it_must(facts: Facts) -> None:
    text = rule_report(facts, "en")
    for said in ("Neutrophil", "97.3%", "Monocyte (1.4%)", "71% of the activation map", "two to five lobes", "3 lobes"):
        assert said in text
    assert text.endswith(f"{WORDINGS['en'].not_flagged} {WORDINGS['en'].closing}")
    assert "research use only" in text


def test_a_report_says_plainly_that_a_person_must_look_and_why(facts: Facts) -> None:
    flagged = dataclasses.replace(facts, review_reasons=("attention_off_cell", "low_confidence"), focus_lift=-0.2)
    for language, words in WORDINGS.items():
        look = words.must_look.format(reasons=f"{words.review['low_confidence']}; {words.review['attention_off_cell']}")
        assert look in rule_report(flagged, language)
        assert f"{words.focus_no_more} (" in rule_report(flagged, language)


def test_without_a_mask_nothing_is_said_of_the_focus(facts: Facts) -> None:
    unseen = dataclasses.replace(facts, focus_ratio=None, focus_coverage=None, focus_lift=None, shape=None)
    assert WORDINGS["en"].no_focus in rule_report(unseen, "en")
    assert digits(rule_report(unseen, "en")) == ["97.3", "1.4"]


def test_bounds_are_told_in_words(facts: Facts) -> None:
    sure = dataclasses.replace(facts, confidence=0.99999, runner_up_probability=0.00001)
    assert "over 99.9%); the runner-up is Monocyte (under 0.1%)" in rule_report(sure, "en")
    assert "%99.9'un üzerinde" in rule_report(sure, "tr")
    assert "%0.1'in altında" in rule_report(sure, "tr")


def test_every_class_and_reason_has_words() -> None:
    for table in (WORDINGS["tr"].names, WORDINGS["tr"].nucleus, WORDINGS["tr"].cytoplasm):
        assert tuple(table) == CLASSES
    for words in WORDINGS.values():
        assert tuple(words.review) == REVIEW_REASONS


def test_an_unknown_language_is_refused(facts: Facts) -> None:
    with pytest.raises(InvalidParameter, match=r"'de'.*'en' or 'tr'"):
        rule_report(facts, "de")
