"""Model card: the numbers of `evaluation.json`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from evaluation.model_card import CARD, render_card, write_into_bundle
from evaluation.results import EVALUATION, EvaluationResult, read_evaluation
from wbc.bundle import Bundle, Manifest
from wbc.errors import BundleMismatch, InvalidParameter
from wbc.settings import REPOSITORY

SHIPPED = REPOSITORY / "models" / "default"


def rows(card: str, title: str) -> dict[str, list[str]]:
    """Return the cells of the first table below a title, by the first cell of each row."""
    table = next(part for part in card.split(f"## {title}\n")[1].split("\n\n") if part.startswith("|"))
    found = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]
    return {cells[0]: cells[1:] for cells in found}


@pytest.fixture
def written(evaluation: EvaluationResult, toy_bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle with its evaluation and card."""
    folder = tmp_path / "bundle"
    shutil.copytree(toy_bundle.path, folder)
    write_into_bundle(folder, evaluation)
    return folder


def assert_scores(card: str, result: EvaluationResult) -> None:
    """Compare every score in the text of the card with the evaluation."""
    results, calibration = rows(card, "Results by device"), rows(card, "Calibration and review")
    assert list(results) == [domain.name for domain in result.domains]
    for domain in result.domains:
        metrics = domain.metrics
        n, accuracy, majority, balanced, f1, classes, kappa = results[domain.name]
        assert (int(n), int(classes)) == (metrics.images, len(metrics.present.classes))
        for text, estimate in (
            (accuracy, metrics.accuracy),
            (balanced, metrics.present.balanced_accuracy),
            (f1, metrics.present.macro_f1),
        ):
            numbers = [float(number) / 100 for number in re.findall(r"[\d.]+", text)]
            assert numbers == pytest.approx([estimate.value, estimate.low, estimate.high], abs=5.1e-5)
        assert float(majority) / 100 == pytest.approx(metrics.majority_baseline, abs=5.1e-5)
        assert (kappa == "-") == (metrics.kappa is None)
        if metrics.kappa is not None:
            assert float(kappa) == pytest.approx(metrics.kappa, abs=5.1e-5)
        before, after, brier = (float(cell) for cell in calibration[domain.name][:3])
        assert (before, after, brier) == pytest.approx((domain.ece_before, metrics.ece, metrics.brier), abs=5.1e-5)


def test_numbers_in_the_card_equal_the_evaluation(written: Path) -> None:
    assert_scores((written / CARD).read_text(), read_evaluation(written / EVALUATION))


def test_a_changed_number_is_found(written: Path) -> None:
    card = (written / CARD).read_text()
    accuracy = read_evaluation(written / EVALUATION).domains[0].metrics.accuracy.percent()
    with pytest.raises(AssertionError):
        assert_scores(card.replace(accuracy, "99.99 (99.98-100.00)"), read_evaluation(written / EVALUATION))


def test_the_card_names_purpose_and_data(written: Path) -> None:
    card = (written / CARD).read_text()
    for words in ("toy pictures", "licence: MIT", "For research", "not a medical device", "## Limits", "declared"):
        assert words in card
    assert card.index("## Results by device") < card.index("## With a declared label set")


def test_the_card_names_averaged_runs(written: Path) -> None:
    manifest, result = Bundle.load(written).manifest, read_evaluation(written / EVALUATION)
    assert "mean of" not in render_card(manifest, result)
    assert manifest.training is not None
    averaged = {"averaged": [{"seed": 4}, {"seed": 7}], "start_share": 0.25}
    training = manifest.training.model_copy(update=averaged)
    card = render_card(manifest.model_copy(update={"training": training}), result)
    assert "mean of 2 training runs (seeds 4, 7), 25% of it the initial weights" in card


def test_a_partial_evaluation_is_not_shipped(written: Path, evaluation: EvaluationResult) -> None:
    for change in ({"limit": 3}, {"as_served": False}):
        partial = evaluation.model_copy(update={"settings": evaluation.settings | change})
        with pytest.raises(InvalidParameter, match="a part of the images or of other settings"):
            write_into_bundle(written, partial)


def test_an_evaluation_of_another_graph_is_not_shipped(written: Path, evaluation: EvaluationResult) -> None:
    other = evaluation.model_copy(update={"settings": evaluation.settings | {"graph": "int8"}})
    with pytest.raises(InvalidParameter, match=r"of the int8 graph; .* unset WBC_GRAPH"):
        write_into_bundle(written, other)


def test_an_evaluation_of_another_model_is_not_shipped(written: Path, evaluation: EvaluationResult) -> None:
    other = evaluation.model_copy(update={"model": evaluation.model | {"sha256": "0" * 64}})
    with pytest.raises(BundleMismatch, match="the evaluation is of the manifest 000000000000"):
        write_into_bundle(written, other)


@pytest.mark.skipif(not (SHIPPED / EVALUATION).is_file(), reason="the shipped bundle has no evaluation yet")
def test_the_shipped_card_is_generated_from_its_evaluation() -> None:
    result, bundle = read_evaluation(SHIPPED / EVALUATION), Bundle.load(SHIPPED)
    assert result.model["sha256"] == bundle.sha256, "the evaluation is of another manifest: evaluate again"
    assert isinstance(bundle.manifest, Manifest)
    card = (SHIPPED / CARD).read_text()
    assert card == render_card(bundle.manifest, result)
    assert_scores(card, result)
