"""A folder of cells to a differential count: cells for review stay out of it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from evaluation.asking import Classifier
from wbc.analysis import Pipeline
from wbc.differential import Differential, differential
from wbc.errors import InputError


@dataclass(frozen=True, slots=True)
class ForReview:
    """A cell that a person has to name.

    Attributes:
        file: its file.
        suggestion: the model's answer; None where the file cannot be read.
        confidence: of the answer.
        reasons: codes, or why the file cannot be read.
    """

    file: str
    suggestion: str | None
    confidence: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """A differential and the cells that wait for a person."""

    differential: Differential
    review: tuple[ForReview, ...]


def count(files: Sequence[Path], pipeline: Pipeline, classifier: Classifier, root: Path) -> Count:
    """Classify files and count those that nothing speaks against."""
    counts: Counter[str] = Counter()
    waiting: list[ForReview] = []
    for path in files:
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        try:
            analysis = pipeline.analyze(path.read_bytes(), classifier)
        except (InputError, OSError) as error:
            waiting.append(ForReview(name, None, None, (str(error),)))
            continue
        if analysis.review:
            codes = tuple(reason.code for reason in analysis.review)
            waiting.append(ForReview(name, analysis.label, round(analysis.confidence, 4), codes))
        else:
            counts[analysis.label] += 1
    return Count(differential(counts, len(waiting)), tuple(waiting))


def as_text(found: Count) -> str:
    """The count as a table, then the cells for review."""
    result = found.differential
    lines = [
        f"{result.counted} cells counted, {result.for_review} for review",
        f"{'class':<12}{'count':>7}{'percent':>9}  {'95% interval':<14}{'adults':<10}",
    ]
    for share in result.shares:
        interval, usual = f"{share.low:.1f}-{share.high:.1f}", f"{share.reference[0]:g}-{share.reference[1]:g}"
        word = "" if share.verdict in ("within", "unclear") else share.verdict
        lines.append(
            f"{share.label:<12}{share.count:>7}{share.percent:>9.1f}  {interval:<14}{usual:<10}{word}".rstrip()
        )
    if found.review:
        lines += ["", "for review, not counted:"]
        lines += [f"  {cell.file}: {_suggested(cell)}{'; '.join(cell.reasons)}" for cell in found.review]
        lines += ["", "The differential is not complete until a person has named these cells."]
    lines += ["For research use. Reference ranges are of adults; a laboratory's own take precedence."]
    return "\n".join(lines) + "\n"


def as_csv(found: Count) -> str:
    """A row a class, then a row for the cells for review."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["class", "count", "percent", "low", "high", "reference_low", "reference_high", "verdict"])
    for share in found.differential.shares:
        values = (share.percent, share.low, share.high)
        writer.writerow([share.label, share.count, *(f"{v:.2f}" for v in values), *share.reference, share.verdict])
    writer.writerow(["for review", found.differential.for_review, "", "", "", "", "", ""])
    return out.getvalue()


def as_json(found: Count) -> str:
    """Everything, as one document."""
    whole = {**asdict(found.differential), "review": [asdict(cell) for cell in found.review]}
    return json.dumps(whole, indent=2) + "\n"


def _suggested(cell: ForReview) -> str:
    return "" if cell.suggestion is None else f"{cell.suggestion}? {cell.confidence:.1%}, "
