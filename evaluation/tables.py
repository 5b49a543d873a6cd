"""Tables of an evaluation, for the terminal, the report, the model card and the documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from evaluation.rejection import Rejection, Score, UnknownResult
from evaluation.results import EVALUATION, AblationRow, DomainResult, EvaluationResult, HeldOutChoice, read_evaluation
from wbc.labels import CLASSES
from wbc.settings import REPOSITORY
from wbc.tables import Table

SHIPPED = REPOSITORY / "models" / "default"
RESULTS = REPOSITORY / "results"


def show(*names: str) -> str:
    """Return tables of the shipped bundle's evaluation for a cog block, with empty lines around them."""
    tables = make_tables(read_evaluation(SHIPPED / EVALUATION))
    tables["left_out"] = list_left_out(json.loads((RESULTS / "left_out.json").read_text()))
    parts = [tables[name].markdown() if name in tables else "Not measured in the shipped evaluation." for name in names]
    return "\n" + "\n\n".join(parts) + "\n"


def make_tables(result: EvaluationResult) -> dict[str, Table]:
    """Return the tables of an evaluation by name, without those that have no rows."""
    tables = {
        "scores": list_scores(result.domains, "Percent with 95% intervals; averages over the classes present."),
        "larger_classes": list_larger_classes(result.domains),
        "recalls": list_recalls(result.domains),
        "classes": list_classes(result.domains),
        "declared": list_scores(result.declared, "Percent, only images of the declared classes."),
        "calibration": list_calibration(result.domains),
        "ablation": list_ablation(result.ablation),
        "held_out": list_choices(result.held_out_choices),
    }
    if result.rejection is not None:
        tables["rejection"] = list_rejection(result.rejection)
    return {name: table for name, table in tables.items() if table.rows}


def list_scores(domains: Sequence[DomainResult], caption: str) -> Table:
    """Return one row of scores per set of images."""
    return Table.of(
        domains,
        {
            "images of": lambda domain: domain.title,
            "n": lambda domain: domain.metrics.images,
            "accuracy": lambda domain: domain.metrics.accuracy.percent(),
            "majority": lambda domain: f"{100 * domain.metrics.majority_baseline:.2f}",
            "balanced accuracy": lambda domain: domain.metrics.present.balanced_accuracy.percent(),
            "macro F1": lambda domain: domain.metrics.present.macro_f1.percent(),
            "classes": lambda domain: len(domain.metrics.present.classes),
            "kappa": lambda domain: _format_kappa(domain.metrics.kappa),
        },
        caption,
    )


def list_larger_classes(domains: Sequence[DomainResult]) -> Table:
    """Return the macro averages over the classes with ten or more images, where others are present too."""
    rows = [
        (domain.name, ", ".join(larger.classes), larger.balanced_accuracy.percent(), larger.macro_f1.percent())
        for domain in domains
        if (larger := domain.metrics.ten_or_more) is not None and larger.classes != domain.metrics.present.classes
    ]
    columns = ("images of", "classes", "balanced accuracy", "macro F1")
    return Table(columns, rows, "Over the classes with ten or more images:")


def list_recalls(domains: Sequence[DomainResult]) -> Table:
    """Return the recall of each class by set of images."""

    def cell(domain: DomainResult, name: str) -> str:
        scores = domain.metrics.per_class[name]
        return "absent" if scores.recall is None else f"{100 * scores.recall:.1f} ({scores.support})"

    rows = [(domain.name, *(cell(domain, name) for name in CLASSES)) for domain in domains]
    return Table(("images of", *CLASSES), rows, "Recall of each class in percent (images of the class):")


def list_classes(domains: Sequence[DomainResult]) -> Table:
    """Return precision, recall and F1, one row per class and set of images."""
    rows = []
    for domain in domains:
        for name, scores in domain.metrics.per_class.items():
            values = (scores.precision, scores.recall, scores.f1)
            percents = ("-" if value is None else f"{100 * value:.1f}" for value in values)
            rows.append((domain.name, name, scores.support, *percents))
    return Table(("images of", "class", "n", "precision", "recall", "F1"), rows, "Each class, in percent:")


def list_calibration(domains: Sequence[DomainResult]) -> Table:
    """Return calibration and review, one row per set of images."""
    return Table.of(
        domains,
        {
            "images of": lambda domain: domain.name,
            "ECE before": lambda domain: f"{domain.ece_before:.4f}",
            "ECE": lambda domain: f"{domain.metrics.ece:.4f}",
            "Brier": lambda domain: f"{domain.metrics.brier:.4f}",
            "flagged, %": lambda domain: f"{100 * domain.flagged / domain.metrics.images:.1f}",
            "accuracy of the unflagged": lambda domain: (
                domain.unflagged_accuracy.percent() if domain.unflagged_accuracy else "all flagged"
            ),
            "coverage at 1% error, %": lambda domain: f"{100 * domain.coverage.coverage:.1f}",
        },
        "ECE: expected calibration error, before and after temperature scaling. Coverage at 1% error: the largest "
        "share of images, most confident first, of which at most 1% are misclassified.",
    )


def list_rejection(rejection: Rejection) -> Table:
    """Return the detection of out-of-distribution images, one row per group."""

    def detection(group: UnknownResult, score: Score) -> str:
        found = {one.score: f"{one.auroc:.4f} / {one.fpr95:.4f}" for one in group.detections}
        return found.get(score, "-")

    return Table.of(
        rejection.unknown,
        {
            "images of": lambda group: group.group,
            "n": lambda group: group.images,
            "flagged, %": lambda group: group.flagged.percent(),
            "AUROC / FPR95 by confidence": lambda group: detection(group, "confidence"),
            "by distance": lambda group: detection(group, "distance"),
        },
        f"Against {rejection.known_images} images of {rejection.known}, of which {rejection.known_flagged.percent()} "
        "percent are flagged. AUROC: area under the ROC curve, 0.5 is chance. FPR95: share of the known images above "
        "the threshold that detects 95% of the group.",
    )


def list_left_out(found: Mapping[str, Any]) -> Table:
    """Return the scores on each training source of the runs without it, one row per source, from a run's `left_out`."""
    rows = []
    for source, summary in found["summary"].items():
        runs = [row for row in found["sources"] if row["source"] == source]
        errors = [run.get("cross_fitted", run)["calibration_error"] for run in runs]
        recalls = {name: sum(run["recall"][name] for run in runs) / len(runs) for name in runs[0]["recall"]}
        lowest = min(recalls, key=lambda name: recalls[name])
        spreads = (_format_spread(summary, name) for name in ("balanced_accuracy", "cross_fitted"))
        mean_error = sum(errors) / len(errors)
        rows.append((source, len(runs), *spreads, f"{mean_error:.3f}", f"{lowest} {100 * recalls[lowest]:.0f}"))
    return Table(
        ("left out", "seeds", "balanced accuracy", "corrected", "ECE", "lowest recall"),
        rows,
        "Percent over classes of ten or more images, mean and standard deviation of the seeds. Corrected: with the "
        "correction that is fitted on the other sources; the expected calibration error is of this one.",
    )


def _format_spread(summary: Mapping[str, float], name: str) -> str:
    if f"{name}_mean" not in summary:
        return "-"
    return f"{100 * summary[f'{name}_mean']:.1f} ± {100 * summary[f'{name}_sd']:.1f}"


def list_ablation(steps: Sequence[AblationRow]) -> Table:
    """Return one row per step and set of images."""
    return Table.of(
        steps,
        {
            "images of": attrgetter("domain"),
            "step": attrgetter("step"),
            "uses": attrgetter("tier"),
            "accuracy": lambda step: step.accuracy.percent(),
            "balanced accuracy": lambda step: step.balanced_accuracy.percent(),
            "macro F1": lambda step: step.macro_f1.percent(),
            "kappa": lambda step: _format_kappa(step.kappa),
            "views": lambda step: f"{step.views:.2f}",
            "ms": lambda step: f"{step.cost_ms:.0f}",
        },
        "Ablation, in percent. A step uses the image, unlabelled images of the device, or the class shares of the "
        "batch. ms: wall time per image in one process on the machine that evaluated.",
    )


def list_choices(choices: Sequence[HeldOutChoice]) -> Table:
    """Return the step that the other foreign devices choose for each foreign device."""
    return Table.of(
        choices,
        {
            "device left out": attrgetter("device"),
            "chosen by the others": attrgetter("chosen"),
            "balanced accuracy": lambda choice: f"{100 * choice.balanced_accuracy:.2f}",
            "nothing": lambda choice: f"{100 * choice.nothing:.2f}",
            "best in hindsight": attrgetter("best"),
            "its score": lambda choice: f"{100 * choice.best_balanced_accuracy:.2f}",
        },
        "Steps that the other foreign devices choose for each, by balanced accuracy in percent:",
    )


def _format_kappa(kappa: float | None) -> str:
    return "-" if kappa is None else f"{kappa:.4f}"
