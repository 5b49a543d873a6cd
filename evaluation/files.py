"""The files of one domain: report, pictures, predictions, metrics."""

from __future__ import annotations

import csv
from pathlib import Path

from sklearn.metrics import classification_report

from evaluation import plots
from evaluation.answers import Answers
from evaluation.reliability import bins
from evaluation.results import DomainResult, relative, write_json
from wbc.labels import CLASSES


def write_domain(folder: Path, answers: Answers, result: DomainResult, root: Path) -> None:
    """Write everything about one set of images into its folder.

    `classification_report.txt`, `confusion_matrix.png`, `roc_curve.png`, `reliability.png`, `predictions.csv` and
    `metrics.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    title = result.name if result.declared is None else f"{result.name}, {result.declared}"
    write_json(result, folder / "metrics.json")
    (folder / "classification_report.txt").write_text(report_text(answers, result, title))
    write_predictions(folder / "predictions.csv", answers, root)
    plots.confusion_matrix(result.metrics, title, folder / "confusion_matrix.png")
    plots.roc(answers.labels, answers.probabilities, result.metrics, title, folder / "roc_curve.png")
    before = answers.uncalibrated
    plots.reliability(
        bins(before.max(axis=1), before.argmax(axis=1) == answers.labels),
        bins(answers.confidence, answers.correct),
        title,
        folder / "reliability.png",
    )


def report_text(answers: Answers, result: DomainResult, title: str) -> str:
    """scikit-learn's report over the classes present, and the scores that it lacks."""
    metrics = result.metrics
    present = [CLASSES.index(name) for name in metrics.present.classes]
    table = classification_report(
        answers.labels,
        answers.predicted,
        labels=present,
        target_names=metrics.present.classes,
        digits=4,
        zero_division=0,
    )
    macros = [("classes present", metrics.present)]
    if metrics.ten_or_more is not None:
        macros.append(("classes with ten or more images", metrics.ten_or_more))
    lines = [
        f"{title}: {metrics.images} images, {len(result.unreadable)} unreadable files left out",
        "",
        table,
        f"averages run over the classes present: {', '.join(metrics.present.classes)}",
        f"accuracy, percent (95% Wilson): {metrics.accuracy.percent()}",
    ]
    for name, macro in macros:
        lines += [
            f"over {name} ({len(macro.classes)}), percent (95% bootstrap):",
            f"  balanced accuracy {macro.balanced_accuracy.percent()}",
            f"  macro F1          {macro.macro_f1.percent()}",
        ]
    kappa = "not defined: one class alone" if metrics.kappa is None else f"{metrics.kappa:.4f}"
    lines += [
        f"Cohen's kappa: {kappa}",
        f"always answering {metrics.majority_class}: {100 * metrics.majority_baseline:.2f}% accuracy",
        f"expected calibration error {metrics.ece:.4f}, Brier score {metrics.brier:.4f}",
        f"log loss {metrics.log_loss:.4f} nats",
        f"flagged for review: {result.flagged} of {metrics.images}",
    ]
    if result.left_out:
        lines.append(
            f"images of other classes, which the declaration rules out and the row leaves out: {result.left_out}"
        )
    return "\n".join(lines) + "\n"


def write_predictions(path: Path, answers: Answers, root: Path) -> None:
    """A row a file: path, truth, prediction, the five probabilities, the review flag and its reasons."""
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["path", "truth", "prediction", *(f"p_{name}" for name in CLASSES), "review", "reasons"])
        for index, file in enumerate(answers.split.paths):
            writer.writerow(
                [
                    relative(file, root),
                    CLASSES[answers.labels[index]],
                    CLASSES[answers.predicted[index]],
                    *(f"{value:.8f}" for value in answers.probabilities[index]),
                    int(answers.flagged[index]),
                    ";".join(answers.reasons[index]),
                ]
            )
