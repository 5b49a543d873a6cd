"""Ablation: one row per step of the adaptation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.ablation import FRAMED, OFF, PRIOR, Step, held_out_choices, list_steps, measure_steps, source_prior
from evaluation.config import EvaluationConfig
from evaluation.intervals import Estimate
from evaluation.results import AblationRow
from tests.evaluation.toy import sure, write_pictures
from wbc.analyzer import Analyzer
from wbc.bundle import Bundle
from wbc.data.dataset import read_split
from wbc.inference import OnnxClassifier
from wbc.labels import CLASSES

PRIOR_OF_VAL = np.full(5, 0.2)


@pytest.fixture
def analyzer(toy_bundle: Bundle) -> Analyzer:
    return Analyzer(toy_bundle, OnnxClassifier(toy_bundle.onnx_path))


@pytest.fixture
def config(toy_bundle: Bundle, toy_data: Path, tmp_path: Path) -> EvaluationConfig:
    return EvaluationConfig(toy_bundle.path, toy_data, tmp_path)


def test_the_published_steps_and_all_filters_are_compared() -> None:
    names = [step.name for step in list_steps("none")]
    for name in ("nothing", "Reinhard", "framing", "framing + light TTA", "framing + auto TTA", PRIOR):
        assert names.count(name) == 1
    assert [name for name in names if "filter" in name] == [f"framing, filter v{n}" for n in (1, 2, 3, 4)]
    assert "framing, filter none" in [step.name for step in list_steps("v1")]


def test_rows_of_one_split(analyzer: Analyzer, config: EvaluationConfig, toy_data: Path) -> None:
    steps = (
        Step("nothing", OFF),
        Step("light", OFF, tta="light"),
        Step(PRIOR, OFF, tier="batch", prior=True),
        Step("one factor", FRAMED, tier="device", device_zoom=True),
    )
    rows = measure_steps(steps, analyzer, read_split(toy_data, "TestB-other"), PRIOR_OF_VAL, config)
    assert [row.step for row in rows] == ["nothing", "light", PRIOR, "one factor"]
    assert [row.tier for row in rows] == ["image", "image", "batch", "device"]
    assert [row.views for row in rows] == [1.0, 8.0, 1.0, 1.0]
    assert rows[0].accuracy.value == pytest.approx(5 / 8)
    assert all(row.cost_ms > 0 and row.images == 8 for row in rows)


def test_prior_correction_moves_unsure_predictions_to_the_frequent_class(
    analyzer: Analyzer, config: EvaluationConfig, tmp_path: Path
) -> None:
    """Nine sure neutrophils decide the class shares; one unsure lymphocyte becomes a neutrophil."""
    unsure = [0.0, 0.0, 2.4, 0.0, 2.0]
    write_pictures(tmp_path, "TestB-skewed", {"Neutrophil": [sure("Neutrophil")] * 9 + [unsure]})
    steps = (Step("nothing", OFF), Step(PRIOR, OFF, tier="batch", prior=True))
    before, after = measure_steps(steps, analyzer, read_split(tmp_path, "TestB-skewed"), PRIOR_OF_VAL, config)
    assert (before.accuracy.value, after.accuracy.value) == (0.9, 1.0)


def row(domain: str, step: str, score: float, tier: str = "image") -> AblationRow:
    """Return a row with a balanced accuracy."""
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


def test_a_device_has_no_part_in_the_choice_of_its_step() -> None:
    rows = [row("TestA", "nothing", 0.99), row("TestA", "framing", 0.1)]
    for domain, nothing, framing in (("TestB-1", 0.9, 0.5), ("TestB-2", 0.3, 0.5), ("TestB-3", 0.3, 0.6)):
        rows += [row(domain, "nothing", nothing), row(domain, "framing", framing), row(domain, "x", 1.0, "batch")]
    first, second, third = held_out_choices(rows)
    assert (first.device, first.chosen, first.balanced_accuracy) == ("TestB-1", "framing", 0.5)
    assert (first.best, first.best_balanced_accuracy, first.nothing) == ("nothing", 0.9, 0.9)
    assert second.chosen == "nothing", "0.9 + 0.3 beats 0.5 + 0.6 on the two others"
    assert third.chosen == "nothing"


def test_one_foreign_device_has_no_choice() -> None:
    assert held_out_choices([row("TestA", "nothing", 1.0), row("TestB-1", "nothing", 0.5)]) == ()


def test_the_source_prior_is_the_manifests_or_that_of_val(analyzer: Analyzer, toy_data: Path) -> None:
    split = read_split(toy_data, "TestA")
    assert source_prior(analyzer, split) == pytest.approx(np.array([2, 2, 3, 1, 4]) / 12, abs=0.1)
    assert source_prior(analyzer, None).tolist() == [0.2] * 5
    stored = (0.1, 0.3, 0.1, 0.1, 0.4)
    manifest = analyzer.bundle.manifest.model_copy(update={"label_prior": stored})
    fitted = Analyzer(Bundle(analyzer.bundle.path, manifest), analyzer.classifier)
    assert source_prior(fitted, split).tolist() == list(stored)
    assert len(stored) == len(CLASSES)
