"""Test-time augmentation: views, their average, and the threshold of `auto`."""

from __future__ import annotations

import numpy as np
import pytest

from wbc.adaptation import tta
from wbc.adaptation.calibration import probabilities

IMAGE = np.random.default_rng(0).integers(0, 200, (32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize(("mode", "count"), [("none", 1), ("auto", 1), ("light", 8)])
def test_the_image_itself_comes_first(mode: tta.Mode, count: int) -> None:
    views = tta.views(IMAGE, mode)
    assert views.shape == (count, 32, 32, 3)
    assert views.dtype == np.uint8
    assert (views[0] == IMAGE).all()


def test_the_eight_views_are_two_flips_three_turns_and_two_brightnesses() -> None:
    views = tta.views(IMAGE, "light")
    assert len(views) == len(tta.LIGHT_VIEWS)
    assert len({view.tobytes() for view in views}) == 8
    for view in views[1:6]:  # moved pixels only
        assert sorted(view.reshape(-1, 3).tolist()) == sorted(IMAGE.reshape(-1, 3).tolist())
    assert (views[1][:, ::-1] == IMAGE).all()
    assert (views[2][::-1] == IMAGE).all()
    assert (np.rot90(views[5]) == IMAGE).all()
    assert views[6].mean() == pytest.approx(1.1 * IMAGE.mean(), rel=0.01)
    assert views[7].mean() == pytest.approx(0.9 * IMAGE.mean(), rel=0.01)


def test_further_views_complete_the_first() -> None:
    whole = np.concatenate([tta.views(IMAGE, "auto"), tta.further_views(IMAGE)])
    assert (whole == tta.views(IMAGE, "light")).all()


def test_mean_logits_are_the_geometric_mean_of_probabilities() -> None:
    logits = np.random.default_rng(1).normal(0, 2, (8, 5)).astype(np.float32)
    geometric = np.exp(np.log(probabilities(logits)).mean(axis=0))
    assert probabilities(tta.average(logits)) == pytest.approx(geometric / geometric.sum(), abs=1e-6)


@pytest.mark.parametrize("budget", [1.0, 1.7, 2.0, 4.5])
def test_auto_keeps_within_its_budget_of_views_and_spends_it(budget: float) -> None:
    confidence = np.random.default_rng(2).beta(8, 1, 1000)
    threshold = tta.fit_auto_confidence(confidence, budget)
    views = 1 + 7 * (confidence < threshold).mean()
    assert views <= budget
    assert views > budget - 0.1


def test_auto_looks_again_at_nothing_where_all_are_equally_sure() -> None:
    confidence = np.full(50, 0.97)
    assert (confidence < tta.fit_auto_confidence(confidence)).mean() == 0


def test_auto_with_a_budget_for_all_looks_again_at_all() -> None:
    confidence = np.linspace(0.5, 0.99, 20)
    assert (confidence < tta.fit_auto_confidence(confidence, 8.0)).all()
