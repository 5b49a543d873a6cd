from __future__ import annotations

import dataclasses

import pytest

from wbc.explain.exchange import Answer
from wbc.explain.facts import Facts
from wbc.explain.guard import objection
from wbc.explain.rules import MAX_WORDS, compose
from wbc.explain.wording import WORDINGS


def answer(summary: str, map_highlights: str = "", concern: str = "") -> Answer:
    return Answer(summary=summary, map_highlights=map_highlights, fits_morphology="yes", concern=concern)


ACCEPTED = [
    ("en", "The model classifies this cell as a Neutrophil with 97.3% confidence; the runner-up is Monocyte at 1.4%."),
    ("en", "Neutrophil at 97.3%, well ahead of Monocyte (1.4%)."),
    ("en", "Neutrophil (97.3%), with Monocyte as the runner-up at 1.4%."),
    ("en", "Neutrophil; the runner-up, Monocyte, has 1.4%."),
    ("en", "Neutrophil, 97.3%. Monocyte, at 1.4%, is the runner-up."),
    ("en", "A Neutrophil with three lobes, lift 0.56, to be confirmed by a qualified reader. This is not a diagnosis."),
    ("en", "A Neutrophil; its neutrophilic granules are fine and the cytoplasm is not basophilic."),
    ("en", "A Neutrophil: two to five lobes are expected, 3 were measured, and the solidity is 0,86."),
    ("tr", "Model hücreyi %97.3 güvenle Nötrofil olarak sınıflandırıyor; ikinci sıradaki sınıf Monosit (%1.4)."),
    ("tr", "Hücre %97,3 güvenle nötrofildir, Monosit %1,4 ile ikinci sıradadır."),
    ("tr", "NÖTROFİL; üç loblu, her iki ölçü de beklenene uygun."),
]
REFUSED = [
    ("en", "wrong_class", "This cell is a Monocyte."),
    ("en", "wrong_class", "Neutrophil. This is a Monocyte, the runner-up is far behind."),
    ("en", "wrong_class", "This is a Monocyte, the runner-up is Neutrophil."),
    ("en", "wrong_class", "The runner-up aside, this cell is Monocyte rather than Neutrophil."),
    ("en", "wrong_class", "This Neutrophil is a Lymphocyte."),
    ("en", "wrong_class", "Neutrophil, with a Lymphocyte as the runner-up."),
    ("en", "wrong_class", "This is not a Neutrophil."),
    ("en", "wrong_class", "The model says Neutrophil, but it is a blast."),
    ("en", "class_missing", "A cell with several lobes."),
    ("en", "invented_number", "Neutrophil with 98% confidence."),
    ("en", "invented_number", "Neutrophil with 97% confidence."),
    ("en", "invented_number", "Neutrophil with a confidence of .98"),
    ("en", "invented_number", "Neutrophil with ninety percent."),
    ("en", "invented_number", "Neutrophil, with half of the map on the nucleus."),
    ("en", "invented_number", "Neutrophil, ９８％"),
    ("en", "invented_number", "Neutrophil, ½ of the map"),
    ("en", "invented_number", "Neutrophil, lift -0.56"),
    ("en", "medical_claim", "Neutrophil, as in leukaemia."),
    ("en", "medical_claim", "A Neutrophil; there may be neutrophilia."),
    ("en", "medical_claim", "A Neutrophil; the patient should take antibiotics."),
    ("en", "medical_claim", "A Neutrophil; clinical correlation is advised."),
    ("en", "overclaim", "This is certainly a Neutrophil."),
    ("en", "overclaim", "A Neutrophil; no review needed."),
    ("en", "markup", "A Neutrophil <img src=x>"),
    ("en", "markup", "A Neutrophil, see https://example.org"),
    ("en", "markup", "A **Neutrophil**"),
    ("en", "markup", "A Neutr\u200bophil"),
    ("en", "markup", "A Neutr\u043ephil, a Neutrophil"),
    ("en", "empty", "  "),
    ("tr", "wrong_class", "Bu hücre bir Monosittir."),
    ("tr", "wrong_class", "Nötrofil. Bu bir lenfosit."),
    ("tr", "wrong_class", "Bu hücre nötrofil değildir."),
    ("tr", "class_missing", "The model classifies this cell as Neutrophil."),
    ("tr", "invented_number", "Nötrofil, dört loblu."),
    ("tr", "invented_number", "%98,1 güvenle nötrofil."),
    ("tr", "medical_claim", "Nötrofil, enfeksiyon tanısını destekler."),
    ("tr", "medical_claim", "Nötrofil, lenfositoz ve nötropeni ile uyumlu."),
    ("tr", "medical_claim", "Nötrofil, lösemi olabilir."),
    ("tr", "overclaim", "Bu kesinlikle bir nötrofil."),
]


@pytest.mark.parametrize(("language", "summary"), ACCEPTED)
def test_an_honest_answer_is_let_through(facts: Facts, language: str, summary: str) -> None:
    assert objection(answer(summary), facts, language) is None


@pytest.mark.parametrize(("language", "reason", "summary"), REFUSED)
def test_what_may_not_be_said_is_refused(facts: Facts, language: str, reason: str, summary: str) -> None:
    assert objection(answer(summary), facts, language) == reason


@pytest.mark.parametrize("field", ["map_highlights", "concern"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [("It is a Basophil", "wrong_class"), ("About 12%", "invented_number"), ("See a doctor", "medical_claim")],
)
def test_every_free_field_is_read(facts: Facts, field: str, text: str, reason: str) -> None:
    good = answer("The model classifies this cell as Neutrophil.")
    assert objection(good, facts, "en") is None
    assert objection(good.model_copy(update={field: text}), facts, "en") == reason


def test_numbers_are_those_of_this_cell(facts: Facts) -> None:
    said = answer("Neutrophil at 97.3%.")
    assert objection(said, facts, "en") is None
    assert objection(said, dataclasses.replace(facts, confidence=0.972), "en") == "invented_number"


def test_the_whole_report_has_at_most_120_words(facts: Facts) -> None:
    closing = len(compose(answer("Neutrophil."), facts, "en").split()) - 1
    longest = answer("Neutrophil " + "and " * (MAX_WORDS - closing - 2) + "more")
    assert len(compose(longest, facts, "en").split()) == MAX_WORDS
    assert objection(longest, facts, "en") is None
    assert objection(answer("Now " + longest.summary), facts, "en") == "too_long"


def test_a_report_ends_with_our_own_words(facts: Facts) -> None:
    flagged = dataclasses.replace(facts, review_reasons=("low_confidence",))
    text = compose(answer("The model says Neutrophil", concern="All is well"), flagged, "en")
    words = WORDINGS["en"]
    look = words.must_look.format(reasons=words.review["low_confidence"])
    assert text == f"The model says Neutrophil. All is well. {words.fits['yes']} {look} {words.closing}"
