"""The classes, their order and their descriptions."""

from __future__ import annotations

import dataclasses

import pytest

from wbc.labels import AUX_NEGATIVE, AUX_POSITIVE, CLASSES, MORPHOLOGY, index_of


def test_five_classes_in_the_order_of_every_model() -> None:
    assert CLASSES == ("Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil")
    assert tuple(MORPHOLOGY) == CLASSES


def test_auxiliary_head_tells_two_of_them_apart() -> None:
    assert (AUX_POSITIVE, AUX_NEGATIVE) == ("Neutrophil", "Lymphocyte")


@pytest.mark.parametrize(("name", "index"), [("Basophil", 0), ("lymphocyte", 2), ("NEUTROPHIL", 4)])
def test_position_whatever_the_letter_case(name: str, index: int) -> None:
    assert index_of(name) == index


@pytest.mark.parametrize("name", ["", "Blast", "Neutrophils", "Neutrophil "])
def test_unknown_name_is_refused_with_the_classes(name: str) -> None:
    with pytest.raises(ValueError, match="unknown class") as caught:
        index_of(name)
    assert repr(name) in str(caught.value)
    assert all(label in str(caught.value) for label in CLASSES)


@pytest.mark.parametrize("label", CLASSES)
def test_morphology_is_whole(label: str) -> None:
    facts = MORPHOLOGY[label]
    assert facts.nucleus
    assert facts.cytoplasm
    assert 5 < facts.diameter_um[0] < facts.diameter_um[1] < 25
    low, high = facts.adult_share_percent
    assert 0 <= low < high <= 100


def test_usual_shares_can_add_up_to_a_whole() -> None:
    lows, highs = zip(*(facts.adult_share_percent for facts in MORPHOLOGY.values()), strict=True)
    assert sum(lows) <= 100 <= sum(highs)


def test_nothing_of_it_can_be_changed() -> None:
    with pytest.raises(TypeError):
        MORPHOLOGY["Blast"] = MORPHOLOGY["Monocyte"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        MORPHOLOGY["Monocyte"].nucleus = "round"  # type: ignore[misc]
