"""The tables of an evaluation in Markdown: for the model card and for docs/evaluation.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.rejection import Rejection
from evaluation.results import AblationRow, DomainResult, HeldOutChoice
from wbc.labels import CLASSES
from wbc.markdown import table


def overview(domains: Sequence[DomainResult]) -> str:
    """A row a set of images: the scores that are always printed."""
    head = ("images of", "n", "accuracy", "majority", "balanced accuracy", "macro F1", "classes", "kappa")
    return table(head, [_overview_row(domain) for domain in domains])


def _overview_row(domain: DomainResult) -> tuple[object, ...]:
    metrics = domain.metrics
    return (
        domain.name if domain.declared is None else f"{domain.name}, {domain.declared}",
        metrics.images,
        metrics.accuracy.percent(),
        f"{100 * metrics.majority_baseline:.2f}",
        metrics.present.balanced_accuracy.percent(),
        metrics.present.macro_f1.percent(),
        len(metrics.present.classes),
        "-" if metrics.kappa is None else f"{metrics.kappa:.4f}",
    )


def larger_classes(domains: Sequence[DomainResult]) -> str | None:
    """Macro averages over the classes with ten or more images, where these are not all that are present."""
    rows = []
    for domain in domains:
        larger, present = domain.metrics.ten_or_more, domain.metrics.present
        if larger is not None and larger.classes != present.classes:
            scores = (larger.balanced_accuracy.percent(), larger.macro_f1.percent())
            rows.append((domain.name, ", ".join(larger.classes), *scores))
    return table(("images of", "classes", "balanced accuracy", "macro F1"), rows) if rows else None


def recalls(domains: Sequence[DomainResult]) -> str:
    """Recall of each class in percent, and its images."""

    def cell(domain: DomainResult, name: str) -> str:
        scores = domain.metrics.per_class[name]
        return "absent" if scores.recall is None else f"{100 * scores.recall:.1f} ({scores.support})"

    return table(("images of", *CLASSES), [(d.name, *(cell(d, name) for name in CLASSES)) for d in domains])


def calibration(domains: Sequence[DomainResult]) -> str:
    """Calibration and review of each set of images."""
    scores = ("ECE before", "ECE", "Brier", "flagged, %", "accuracy of the unflagged", "coverage at 1% error, %")
    rows = [
        (
            d.name,
            f"{d.ece_before:.4f}",
            f"{d.metrics.ece:.4f}",
            f"{d.metrics.brier:.4f}",
            f"{100 * d.flagged / d.metrics.images:.1f}",
            "all flagged" if d.unflagged_accuracy is None else d.unflagged_accuracy.percent(),
            f"{100 * d.coverage.coverage:.1f}",
        )
        for d in domains
    ]
    return table(("images of", *scores), rows)


def rejection(found: Rejection) -> str:
    """How images of none of the classes are found."""
    head = ("images of", "n", "flagged, %", "AUROC / FPR95 by confidence", "by distance")
    rows = []
    for group in found.unknown:
        scores = {d.score: f"{d.auroc:.4f} / {d.fpr95:.4f}" for d in group.detections}
        both = (scores.get("confidence", "-"), scores.get("distance", "-"))
        rows.append((group.group, group.images, group.flagged.percent(), *both))
    return table(head, rows)


def left_out(found: Mapping[str, Any]) -> str:
    """Scores on training sources by runs that left them out, from a run's `left_out`."""
    head = ("left out", "images", "accuracy", "balanced accuracy", "with biases", "lowest recall")
    rows = []
    for row in found["sources"]:
        name, recall = min(row["recall"].items(), key=lambda item: item[1])
        after = row.get("cross_fitted", {}).get("val_balanced_accuracy")
        scores = (row["val_accuracy"], row["val_balanced_accuracy"], after)
        shown = ("" if score is None else f"{100 * score:.2f}" for score in scores)
        rows.append((row["source"], row["images"], *shown, f"{name} {100 * recall:.1f}"))
    return table(head, rows)


def ablation(rows: Sequence[AblationRow]) -> str:
    """A row a step and set of images."""
    head = ("images of", "step", "knows", "accuracy", "balanced accuracy", "macro F1", "kappa", "views", "ms")
    cells = [
        (
            r.domain,
            r.step,
            r.tier,
            r.accuracy.percent(),
            r.balanced_accuracy.percent(),
            r.macro_f1.percent(),
            "-" if r.kappa is None else f"{r.kappa:.4f}",
            f"{r.views:.2f}",
            f"{r.cost_ms:.0f}",
        )
        for r in rows
    ]
    return table(head, cells)


def held_out(choices: Sequence[HeldOutChoice]) -> str:
    """What the other devices choose for each foreign device."""
    head = ("device left out", "chosen by the others", "balanced accuracy", "nothing", "best in hindsight", "its score")
    cells = [
        (
            c.device,
            c.chosen,
            f"{100 * c.balanced_accuracy:.2f}",
            f"{100 * c.nothing:.2f}",
            c.best,
            f"{100 * c.best_balanced_accuracy:.2f}",
        )
        for c in choices
    ]
    return table(head, cells)
