"""Each step of the adaptation is a row, and a step that does nothing changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.ablation import (
    CELL,
    OFF,
    PRIOR,
    Ablation,
    Group,
    Step,
    groups,
    held_out_choices,
    source_prior,
)
from evaluation.intervals import Estimate
from evaluation.model import Model
from evaluation.results import AblationRow
from tests.evaluation.toy import sure, write_pictures
from wbc.bundle import Bundle
from wbc.data.dataset import read_split
from wbc.inference import OnnxClassifier
from wbc.labels import CLASSES


@pytest.fixture
def model(toy_bundle: Bundle) -> Model:
    """The toy bundle, to be configured."""
    return Model(toy_bundle, OnnxClassifier(toy_bundle.onnx_path))


def test_the_published_steps_and_all_filters_are_compared() -> None:
    names = [step.name for group in groups("none") for step in group.steps]
    for name in ("nothing", "Reinhard", "framing", "framing + light TTA", "framing + auto TTA", PRIOR):
        assert names.count(name) == 1
    assert [name for name in names if "filter" in name] == [f"framing, filter v{n}" for n in (1, 2, 3, 4)]
    assert "framing, filter none" in [step.name for group in groups("v1") for step in group.steps]


def test_rows_of_one_domain(model: Model, toy_data: Path) -> None:
    compared = (
        Group({"framing": OFF}, (Step("nothing"), Step("light", "light"), Step(PRIOR, tier="batch", prior=True))),
        Group({"framing": CELL}, (Step("one factor", tier="device"),), device_factor=True),
    )
    study = Ablation(model, np.full(5, 0.2), compared=compared)
    rows = study.run(read_split(toy_data, "TestB-other"))
    assert [row.step for row in rows] == ["nothing", "light", PRIOR, "one factor"]
    assert [row.tier for row in rows] == ["image", "image", "batch", "device"]
    assert [row.views for row in rows] == [1.0, 8.0, 1.0, 1.0]
    assert rows[0].accuracy.value == pytest.approx(5 / 8)
    assert all(row.cost_ms > 0 and row.images == 8 for row in rows)
    assert rows[1].cost_ms > rows[0].cost_ms


def test_prior_correction_moves_unsure_answers_to_the_frequent_class(model: Model, tmp_path: Path) -> None:
    """Nine sure neutrophils say what the batch is made of; one unsure lymphocyte answer follows them."""
    unsure = [0.0, 0.0, 2.4, 0.0, 2.0]
    write_pictures(tmp_path, "TestB-skewed", {"Neutrophil": [sure("Neutrophil")] * 9 + [unsure]})
    steps = (Step("nothing"), Step(PRIOR, tier="batch", prior=True))
    study = Ablation(model, np.full(5, 0.2), compared=(Group({"framing": OFF}, steps),))
    before, after = study.run(read_split(tmp_path, "TestB-skewed"))
    assert (before.accuracy.value, after.accuracy.value) == (0.9, 1.0)


def row(domain: str, step: str, score: float, tier: str = "image") -> AblationRow:
    """A row with a balanced accuracy."""
    value = Estimate(value=score, low=score, high=score)
    return AblationRow(
        step=step,
        tier=tier,  # type: ignore[arg-type]
        domain=domain,
        images=1,
        accuracy=value,
        balanced_accuracy=value,
        macro_f1=value,
        kappa=None,
        views=1,
        cost_ms=1,
    )


def test_a_device_has_no_say_in_the_step_that_is_chosen_for_it() -> None:
    rows = [row("TestA", "nothing", 0.99), row("TestA", "framing", 0.1)]
    for domain, nothing, framing in (("TestB-1", 0.9, 0.5), ("TestB-2", 0.3, 0.5), ("TestB-3", 0.3, 0.6)):
        rows += [row(domain, "nothing", nothing), row(domain, "framing", framing), row(domain, "x", 1.0, "batch")]
    first, second, third = held_out_choices(rows)
    assert (first.device, first.chosen, first.balanced_accuracy) == ("TestB-1", "framing", 0.5)
    assert (first.best, first.best_balanced_accuracy, first.nothing) == ("nothing", 0.9, 0.9)
    assert second.chosen == "nothing", "0.9 + 0.3 beats 0.5 + 0.6 on the two others"
    assert third.chosen == "nothing"


def test_with_one_foreign_device_there_is_nothing_to_choose_by() -> None:
    assert held_out_choices([row("TestA", "nothing", 1.0), row("TestB-1", "nothing", 0.5)]) == ()


def test_the_source_prior_is_the_manifests_or_that_of_val(model: Model, toy_data: Path) -> None:
    split = read_split(toy_data, "TestA")
    assert source_prior(model, split) == pytest.approx(np.array([2, 2, 3, 1, 4]) / 12, abs=0.1)
    assert source_prior(model, None).tolist() == [0.2] * 5
    stored = (0.1, 0.3, 0.1, 0.1, 0.4)
    manifest = model.bundle.manifest.model_copy(update={"label_prior": stored})
    told = Model(Bundle(model.bundle.path, manifest), model.classifier)
    assert source_prior(told, split).tolist() == list(stored)
    assert len(stored) == len(CLASSES)
