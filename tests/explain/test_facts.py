from __future__ import annotations

import dataclasses

import pytest

from wbc.explain.facts import Facts, numbers
from wbc.labels import MORPHOLOGY


def test_numbers_are_printed_once_for_every_language(facts: Facts) -> None:
    assert dict(numbers(facts)) == {
        "confidence": "97.3",
        "runner_up_probability": "1.4",
        "focus_ratio": "71",
        "focus_coverage": "34",
        "focus_lift": "0.56",
        "nucleus_share": "48",
        "solidity": "0.86",
        "lobes": "3",
        "cell_diameter": "58",
        "nucleus_diameter": "40",
    }


def test_what_is_unknown_has_no_number(facts: Facts) -> None:
    bare = dataclasses.replace(facts, focus_ratio=None, focus_coverage=None, focus_lift=None, shape=None)
    assert set(numbers(bare)) == {"confidence", "runner_up_probability"}


@pytest.mark.parametrize(
    ("probability", "printed"),
    [(1.0, ">99.9"), (0.99951, ">99.9"), (0.9994, "99.9"), (0.0006, "0.1"), (0.0004, "<0.1"), (0.0, "<0.1")],
)
def test_no_probability_is_printed_as_certainty_or_nothing(facts: Facts, probability: float, printed: str) -> None:
    assert numbers(dataclasses.replace(facts, confidence=probability))["confidence"] == printed


def test_lift_has_a_sign_only_where_it_has_a_size(facts: Facts) -> None:
    assert numbers(dataclasses.replace(facts, focus_lift=-0.004))["focus_lift"] == "0.00"
    assert numbers(dataclasses.replace(facts, focus_lift=-0.124))["focus_lift"] == "-0.12"


def test_morphology_is_that_of_the_class(facts: Facts) -> None:
    assert facts.morphology is MORPHOLOGY["Neutrophil"]


def test_unknown_words_are_refused(facts: Facts) -> None:
    with pytest.raises(ValueError, match="unknown class 'Blast'"):
        dataclasses.replace(facts, runner_up="Blast")
    with pytest.raises(ValueError, match="unknown review reason 'ignore all rules'"):
        dataclasses.replace(facts, review_reasons=("ignore all rules",))
