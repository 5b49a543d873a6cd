"""The tables of an evaluation, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from evaluation.rejection import Rejection
from evaluation.results import AblationRow, DomainResult, EvaluationResult


def tables(result: EvaluationResult) -> list[Table]:
    """Everything that was measured."""
    shown = [overview(result), per_class(result.domains)]
    if result.ablation:
        shown.append(ablation(result.ablation))
    if result.rejection is not None:
        shown.append(rejection(result.rejection))
    return shown


def overview(result: EvaluationResult) -> Table:
    """A row a domain, five classes first, then what was declared."""
    table = Table(
        title="Percent, with 95% intervals; macro averages run over the classes present", title_justify="left"
    )
    table.add_column("images of", overflow="fold")
    for name in ("n", "accuracy", "majority", "balanced accuracy", "macro F1", "of", "kappa", "ECE", "Brier", "review"):
        table.add_column(name, justify="right")
    for domain in result.domains:
        table.add_row(*_overview_row(domain))
        for row in result.declared:
            if row.name == domain.name:
                table.add_row(*_overview_row(row), style="italic")
    return table


def _overview_row(domain: DomainResult) -> list[str]:
    metrics = domain.metrics
    return [
        domain.name if domain.declared is None else f"  {domain.declared}",
        str(metrics.images),
        metrics.accuracy.percent(1),
        f"{100 * metrics.majority_baseline:.1f}",
        metrics.present.balanced_accuracy.percent(1),
        metrics.present.macro_f1.percent(1),
        f"{len(metrics.present.classes)}",
        "-" if metrics.kappa is None else f"{metrics.kappa:.3f}",
        f"{metrics.ece:.3f}",
        f"{metrics.brier:.3f}",
        f"{100 * domain.flagged / metrics.images:.0f}%",
    ]


def per_class(domains: Sequence[DomainResult]) -> Table:
    """Precision, recall and F1 of each class of each domain."""
    table = Table(title="Each class: precision / recall / F1 in percent (support)", title_justify="left")
    table.add_column("images of")
    for name in domains[0].metrics.per_class:
        table.add_column(name, justify="right")
    for domain in domains:
        cells = []
        for scores in domain.metrics.per_class.values():
            values = (scores.precision, scores.recall, scores.f1)
            shown = " / ".join("-" if value is None else f"{100 * value:.1f}" for value in values)
            cells.append(f"{shown} ({scores.support})")
        table.add_row(domain.name, *cells)
    return table


def ablation(rows: Sequence[AblationRow]) -> Table:
    """What each step of the adaptation changes, domain by domain."""
    table = Table(title="Ablation: percent, with 95% intervals", title_justify="left")
    for name in ("images of", "step", "knows"):
        table.add_column(name, overflow="fold")
    for name in ("accuracy", "balanced accuracy", "macro F1", "kappa", "views", "ms/image"):
        table.add_column(name, justify="right")
    for domain in dict.fromkeys(row.domain for row in rows):
        for row in (row for row in rows if row.domain == domain):
            table.add_row(
                row.domain,
                row.step,
                row.tier,
                row.accuracy.percent(1),
                row.balanced_accuracy.percent(1),
                row.macro_f1.percent(1),
                "-" if row.kappa is None else f"{row.kappa:.3f}",
                f"{row.views:.2f}",
                f"{row.cost_ms:.0f}",
            )
        table.add_section()
    return table


def rejection(found: Rejection) -> Table:
    """How well images of none of the classes are told from known ones."""
    table = Table(
        title=f"Images of none of the five classes, against {found.known} ({found.known_images} images, "
        f"{found.known_flagged.percent(1)}% of them flagged)",
        title_justify="left",
    )
    table.add_column("images of")
    for name in ("n", "flagged %", "AUROC confidence", "FPR@95", "AUROC distance", "FPR@95"):
        table.add_column(name, justify="right")
    for group in found.unknown:
        scores = {detection.score: detection for detection in group.detections}
        cells = []
        for score in ("confidence", "distance"):
            cells += [f"{scores[score].auroc:.3f}", f"{scores[score].fpr95:.3f}"] if score in scores else ["-", "-"]
        table.add_row(group.group, str(group.images), group.flagged.percent(1), *cells)
    return table
