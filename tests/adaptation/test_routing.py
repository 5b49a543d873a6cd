"""Declared label sets: their effect on probabilities, and invalid ones."""

from __future__ import annotations

import numpy as np
import pytest

from wbc.adaptation.routing import BINARY, LabelSet, route
from wbc.errors import InvalidParameter
from wbc.labels import CLASSES

PROBABILITIES = np.array([0.5, 0.2, 0.06, 0.2, 0.04])


def test_the_main_head_is_renormalised_over_the_declared_classes() -> None:
    assert route(PROBABILITIES, 9.0, LabelSet(BINARY)) == pytest.approx([0, 0, 0.6, 0, 0.4])
    three = LabelSet(("Monocyte", "Basophil", "Lymphocyte"))
    assert three.labels == ("Basophil", "Lymphocyte", "Monocyte")
    assert route(PROBABILITIES, 0.0, three) == pytest.approx(np.array([0.5, 0, 0.06, 0.2, 0]) / 0.76)


@pytest.mark.parametrize(
    ("logit", "neutrophil"), [(0.0, 0.5), (2.0, 1 / (1 + np.exp(-2.0))), (-800.0, 0.0), (800.0, 1.0)]
)
def test_the_auxiliary_head_decides_alone_and_without_overflow(logit: float, neutrophil: float) -> None:
    routed = route(PROBABILITIES, logit, LabelSet(BINARY, "aux"))
    assert routed[CLASSES.index("Neutrophil")] == pytest.approx(neutrophil)
    assert routed.sum() == pytest.approx(1.0)
    assert routed[[0, 1, 3]].tolist() == [0, 0, 0]


def test_a_declared_class_without_any_probability_still_has_an_answer() -> None:
    routed = route(np.array([1.0, 0, 0, 0, 0]), 0.0, LabelSet(BINARY))
    assert routed.sum() == pytest.approx(1.0)
    assert routed[0] == 0


def test_all_classes_declared_change_nothing() -> None:
    assert route(PROBABILITIES, 0.0, LabelSet(CLASSES)) == pytest.approx(PROBABILITIES)


@pytest.mark.parametrize(
    ("labels", "head", "words"),
    [
        (("Lymphocyte",), "main", "at least two"),
        (("Lymphocyte", "Lymphocyte"), "main", "at least two different"),
        (("Lymphocyte", "Blast"), "main", "at least two"),
        ((), "main", "empty"),
        (("Monocyte", "Neutrophil"), "aux", "separates only Lymphocyte and Neutrophil"),
        (CLASSES, "aux", "separates only Lymphocyte and Neutrophil"),
    ],
)
def test_impossible_declarations_are_refused(labels: tuple[str, ...], head: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        LabelSet(labels, head)  # type: ignore[arg-type]


def test_the_name_says_that_it_was_declared() -> None:
    assert LabelSet(BINARY, "aux").name == "declared Lymphocyte + Neutrophil (aux head)"
