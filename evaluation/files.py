"""Files of one set of images: report, plots, predictions, metrics."""

from __future__ import annotations

import csv
from pathlib import Path

from sklearn.metrics import classification_report

from evaluation import plots
from evaluation.predictions import Predictions
from evaluation.reliability import bin_rows
from evaluation.results import DomainResult, relative, write_json
from wbc.labels import CLASSES


def write_domain(folder: Path, predictions: Predictions, result: DomainResult, root: Path) -> None:
    """Write classification_report.txt, predictions.csv, metrics.json and three plots; file names are below `root`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(result, folder / "metrics.json")
    (folder / "classification_report.txt").write_text(format_report(predictions, result))
    write_predictions(folder / "predictions.csv", predictions, root)
    labels, probabilities = predictions.labels, predictions.probabilities
    plots.confusion_matrix(result.metrics, result.title, folder / "confusion_matrix.png")
    plots.roc(labels, probabilities, result.metrics, result.title, folder / "roc_curve.png")
    before, after = bin_rows(predictions.uncalibrated, labels), bin_rows(probabilities, labels)
    plots.reliability(before, after, result.title, folder / "reliability.png")


def format_report(predictions: Predictions, result: DomainResult) -> str:
    """Return scikit-learn's report over the classes present, and the scores that it lacks."""
    metrics = result.metrics
    names = metrics.present.classes
    table = classification_report(
        predictions.labels,
        predictions.predicted,
        labels=[CLASSES.index(name) for name in names],
        target_names=names,
        digits=4,
        zero_division=0,
    )
    lines = [
        f"{result.title}: {metrics.images} images, {len(result.unreadable)} unreadable files left out",
        "",
        table,
        f"averages over the classes present: {', '.join(names)}",
        f"accuracy, percent (95% Wilson): {metrics.accuracy.percent()}",
    ]
    macros = {"classes present": metrics.present, "classes with ten or more images": metrics.ten_or_more}
    for name, macro in macros.items():
        if macro is not None:
            lines += [
                f"over {name} ({len(macro.classes)}), percent (95% bootstrap):",
                f"  balanced accuracy {macro.balanced_accuracy.percent()}",
                f"  macro F1          {macro.macro_f1.percent()}",
            ]
    lines += [
        f"Cohen's kappa: {'undefined for one class' if metrics.kappa is None else f'{metrics.kappa:.4f}'}",
        f"always predicting {metrics.majority_class}: {100 * metrics.majority_baseline:.2f}% accuracy",
        f"expected calibration error {metrics.ece:.4f}, Brier score {metrics.brier:.4f}",
        f"log loss {metrics.log_loss:.4f} nats",
        f"flagged for review: {result.flagged} of {metrics.images}",
    ]
    if result.left_out:
        lines.append(f"images of classes that were not declared, left out: {result.left_out}")
    return "\n".join(lines) + "\n"


def write_predictions(path: Path, predictions: Predictions, root: Path) -> None:
    """Write one CSV row per image: path, truth, prediction, five probabilities, review flag and reasons."""
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["path", "truth", "prediction", *(f"p_{name}" for name in CLASSES), "review", "reasons"])
        for index, file in enumerate(predictions.split.paths):
            writer.writerow(
                [
                    relative(file, root),
                    CLASSES[predictions.labels[index]],
                    CLASSES[predictions.predicted[index]],
                    *(f"{value:.8f}" for value in predictions.probabilities[index]),
                    int(predictions.flagged[index]),
                    ";".join(predictions.reasons[index]),
                ]
            )
