"""The whole evaluation on splits with known predictions."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.config import EvaluationConfig
from evaluation.evaluate import evaluate
from evaluation.model import configure
from evaluation.results import DomainResult, EvaluationResult, read_evaluation
from tests.evaluation.conftest import PREDICTIONS
from tests.evaluation.toy import picture, sure, write_pictures
from wbc.analysis import Pipeline
from wbc.analyzer import Analyzer
from wbc.bundle import Bundle
from wbc.errors import DataError, InvalidParameter
from wbc.images import encode_png
from wbc.inference import OnnxClassifier
from wbc.labels import CLASSES

PAIR = ("Lymphocyte", "Neutrophil")


def domain(evaluation: EvaluationResult, name: str) -> DomainResult:
    """Return the results on one set of images."""
    return next(d for d in evaluation.domains if d.name == name)


def test_every_test_folder_is_a_domain_and_combined_joins_them(evaluation: EvaluationResult) -> None:
    assert [d.name for d in evaluation.domains] == ["TestA", "TestB-other", "combined"]
    assert domain(evaluation, "combined").metrics.images == 12 + 8
    joined = np.array(domain(evaluation, "combined").metrics.confusion)
    parts = [np.array(domain(evaluation, name).metrics.confusion) for name in PREDICTIONS]
    assert (joined == parts[0] + parts[1]).all()


def test_the_confusion_is_that_of_the_pictures(evaluation: EvaluationResult) -> None:
    for name, classes in PREDICTIONS.items():
        expected = np.zeros((5, 5), int)
        for truth, predicted in classes.items():
            for label in predicted:
                expected[CLASSES.index(truth), CLASSES.index(label)] += 1
        assert np.array(domain(evaluation, name).metrics.confusion).tolist() == expected.tolist()


def test_an_unreadable_file_is_named_and_left_out(evaluation: EvaluationResult) -> None:
    assert list(domain(evaluation, "TestA").unreadable) == ["TestA/Basophil/broken.png"]
    assert domain(evaluation, "TestB-other").unreadable == {}


def test_absent_classes_are_not_averaged(evaluation: EvaluationResult) -> None:
    found = domain(evaluation, "TestB-other").metrics
    assert found.present.classes == ("Lymphocyte", "Monocyte", "Neutrophil")
    assert found.present.balanced_accuracy.value == pytest.approx((2 / 3 + 1 + 2 / 4) / 3)


def test_a_declared_label_set_has_a_row_of_its_own(evaluation: EvaluationResult) -> None:
    [row] = evaluation.declared
    assert (row.name, row.declared) == ("TestB-other", "declared Lymphocyte + Neutrophil (main head)")
    assert (row.metrics.images, row.left_out) == (7, 1)
    # The neutrophil predicted as an eosinophil becomes its runner-up; the other mistakes stay.
    assert row.metrics.per_class["Lymphocyte"].recall == pytest.approx(2 / 3)
    assert row.metrics.per_class["Neutrophil"].recall == pytest.approx(3 / 4)
    assert row.metrics.per_class["Eosinophil"].answered == 0
    # The row without a declaration does not change.
    assert domain(evaluation, "TestB-other").metrics.per_class["Eosinophil"].answered == 1


def test_review_flags_the_unsure(evaluation: EvaluationResult) -> None:
    found = domain(evaluation, "TestA")
    assert found.flagged == found.flagged_by["low_confidence"] == 5  # the last picture of each class
    assert found.unflagged_accuracy is not None
    assert found.unflagged_accuracy.value == 1.0


@pytest.mark.parametrize("name", [*PREDICTIONS, "combined", "TestB-other-declared-main"])
def test_the_files_of_a_domain_are_written(evaluation: EvaluationResult, name: str, output: Path) -> None:
    names = ("classification_report.txt", "metrics.json", "predictions.csv")
    pictures = ("confusion_matrix.png", "roc_curve.png", "reliability.png")
    for file in (*names, *pictures):
        assert (output / name / file).stat().st_size > 0
    for file in pictures:
        assert (output / name / file).read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def output(evaluation: EvaluationResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the evaluation."""
    return next(tmp_path_factory.getbasetemp().glob("evaluation*"))


def test_metrics_json_and_evaluation_json_hold_the_same_numbers(evaluation: EvaluationResult, output: Path) -> None:
    kept = read_evaluation(output / "evaluation.json")
    for found in kept.domains:
        assert DomainResult.model_validate_json((output / found.name / "metrics.json").read_bytes()) == found
    assert kept.domains[0].metrics.accuracy.value == pytest.approx(
        evaluation.domains[0].metrics.accuracy.value, abs=1e-6
    )


def test_no_folder_of_this_machine_is_written(output: Path, toy_data: Path) -> None:
    for file in [*output.rglob("*.json"), *output.rglob("*.csv"), *output.rglob("*.txt"), output / "report.html"]:
        assert str(toy_data) not in file.read_text()


def test_predictions_are_what_is_served(toy_bundle: Bundle, toy_data: Path, output: Path) -> None:
    pipeline, classifier = Pipeline(toy_bundle), OnnxClassifier(toy_bundle.onnx_path)
    with (output / "combined" / "predictions.csv").open(newline="") as rows:
        read = list(csv.DictReader(rows))
    assert len(read) == 20
    for row in read:
        served = pipeline.analyze((toy_data / row["path"]).read_bytes(), classifier)
        assert row["prediction"] == served.label
        assert row["truth"] == Path(row["path"]).parent.name
        assert [float(row[f"p_{name}"]) for name in CLASSES] == pytest.approx(served.probabilities, abs=1e-6)
        assert row["review"] == str(int(bool(served.review)))
        assert row["reasons"] == ";".join(reason.code for reason in served.review)


def test_the_report_shows_the_worst_mistakes_first(output: Path) -> None:
    page = (output / "report.html").read_text()
    assert page.index("Worst mistakes") < page.index("Scores")
    assert page.count("<figure>") == 2 + 3
    assert "TestB-other/Neutrophil/002.png" in page  # sure, wrong, and not flagged
    assert page.index("TestB-other/Neutrophil/002.png") < page.index("TestA/Lymphocyte/002.png")
    assert "http" not in page, "nothing is loaded from elsewhere"


def test_the_classification_report_names_the_averaged_classes(output: Path) -> None:
    text = (output / "TestB-other" / "classification_report.txt").read_text()
    assert "averages over the classes present: Lymphocyte, Monocyte, Neutrophil" in text
    assert "Basophil" not in text
    assert "always predicting Neutrophil: 50.00% accuracy" in text


def test_settings_replace_those_of_the_bundle(toy_bundle: Bundle, toy_data: Path, tmp_path: Path) -> None:
    config = EvaluationConfig(
        toy_bundle.path, toy_data, tmp_path, splits=("TestA",), tta="light", limit=1, rejection=False
    )
    found = evaluate(config)
    [only] = found.domains
    assert (only.metrics.images, only.views) == (5, 8.0)
    assert found.settings["tta"] == "light"
    assert not found.settings["as_served"]


def test_settings_that_do_not_fit_are_refused(toy_bundle: Bundle, toy_data: Path, tmp_path: Path) -> None:
    bare = toy_bundle.manifest.preprocessing.model_copy(update={"reinhard": None})
    bundle = replace(toy_bundle, manifest=toy_bundle.manifest.model_copy(update={"preprocessing": bare}))
    with pytest.raises(InvalidParameter, match="needs a fitted Reinhard reference"):
        configure(Analyzer(bundle, OnnxClassifier(bundle.onnx_path)), color_normalization="reinhard")
    with pytest.raises(DataError, match="no split 'TestZ'"):
        evaluate(EvaluationConfig(toy_bundle.path, toy_data, tmp_path, splits=("TestZ",)))


def test_a_set_without_a_readable_file_is_an_error(toy_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "TestA" / "Monocyte"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="none of the 1 files of TestA can be read"):
        evaluate(EvaluationConfig(toy_bundle.path, tmp_path / "data", tmp_path / "out", rejection=False))


def test_unknown_images_are_set_against_known_ones(toy_bundle: Bundle, tmp_path: Path) -> None:
    """Out-of-distribution cells are detected by a confidence below that of known cells."""
    root = tmp_path / "smears"
    write_pictures(
        root, "TestA", {"Monocyte": [sure("Monocyte", 4.0)] * 4, "Neutrophil": [sure("Neutrophil", 4.0)] * 4}
    )
    for kind, margin in (("sure", 6.0), ("unsure", 1.0)):
        folder = tmp_path / "unclassifiable" / "Test" / kind
        folder.mkdir(parents=True)
        for number in range(4):
            (folder / f"{number}.png").write_bytes(encode_png(picture(sure("Monocyte", margin))))
    found = evaluate(EvaluationConfig(toy_bundle.path, root, tmp_path / "out", limit=4)).rejection
    assert found is not None
    groups = {group.group: group for group in found.unknown}
    assert set(groups) == {"sure", "unsure", "noise", "plain colour", "photographs"}
    assert (groups["sure"].detections[0].auroc, groups["sure"].detections[0].fpr95) == (0.0, 1.0)
    assert (groups["unsure"].detections[0].auroc, groups["unsure"].detections[0].fpr95) == (1.0, 0.0)
    assert groups["unsure"].flagged.value == 1.0
    assert groups["sure"].flagged.value == 0.0
    assert groups["plain colour"].flagged_by["poor_image"].value == 1.0


def test_evaluation_of_a_bundle_needs_no_tensorflow(toy_bundle: Bundle) -> None:
    program = (
        "import sys; from pathlib import Path; import evaluation.evaluate, evaluation.cli, evaluation.model_card;"
        f"from evaluation.model import load_analyzer; load_analyzer(Path({str(toy_bundle.path)!r}));"
        "print(len([name for name in ('tensorflow', 'keras') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_the_ablation_is_part_of_the_evaluation(toy_bundle: Bundle, tmp_path: Path) -> None:
    """On `Val`, only the steps judged there; the step with the bundle's settings has the scores of the split."""
    root = tmp_path / "smears"
    for name in ("Val", "TestA"):
        write_pictures(root, name, {label: [sure(label)] for label in CLASSES})
    found = evaluate(EvaluationConfig(toy_bundle.path, root, tmp_path / "out", ablation=True, rejection=False))
    steps = {name: [row.step for row in found.ablation if row.domain == name] for name in ("Val", "TestA")}
    assert steps["Val"] == [
        "nothing",
        "framing",
        "framing + light TTA",
        "framing + auto TTA",
        "framing + prior correction (EM)",
    ]
    assert set(steps["Val"]) < set(steps["TestA"])
    nothing = next(row for row in found.ablation if (row.domain, row.step) == ("TestA", "nothing"))
    assert nothing.accuracy == found.domains[0].metrics.accuracy, "the toy bundle is served without framing"
    assert read_evaluation(tmp_path / "out" / "evaluation.json").ablation
    assert "framing + Reinhard + light TTA" in (tmp_path / "out" / "report.html").read_text()
