"""`wbc differential`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wbc.cli.options import BUNDLE, find_images

if TYPE_CHECKING:
    from wbc.schemas import DifferentialAnswer


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@BUNDLE
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "json"]),
    default="text",
    show_default=True,
    help="Format of the result.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def differential(folder: Path, bundle: Path | None, form: str, output: Path | None) -> None:
    """Count the cells in FOLDER, one cell per image: a differential count with its confidence intervals.

    Cells flagged for review and files that cannot be read are listed separately and not counted: the differential is
    complete only after a person has classified them.
    """
    from wbc.analyzer import Analyzer
    from wbc.errors import WBCError
    from wbc.files import printable
    from wbc.schemas import DifferentialAnswer, ErrorAnswer, FileError, FilePrediction, ModelInfo, Prediction

    analyzer = Analyzer.load(bundle)
    model, files = ModelInfo.from_analyzer(analyzer), find_images([folder])
    results: list[FilePrediction | FileError] = []
    for index, (_, found) in enumerate(analyzer.analyze_many(files)):
        if isinstance(found, WBCError):
            results.append(FileError(index=index, error=ErrorAnswer.of(found)))
        else:
            results.append(FilePrediction(index=index, prediction=Prediction.of(found, model, str(index))))
    count = DifferentialAnswer.of(results)
    names = [printable(path.relative_to(folder).as_posix()) for path in files]
    text = {"text": _as_text, "csv": _as_csv, "json": _as_json}[form](count, names)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _as_text(count: DifferentialAnswer, names: Sequence[str]) -> str:
    """Format the count as a table, followed by the cells for review."""
    lines = [
        f"{count.counted} cells counted, {count.for_review} for review",
        f"{'class':<12}{'count':>7}{'percent':>9}  {'95% interval':<14}{'adults':<10}",
    ]
    for share in count.shares:
        interval, usual = f"{share.low:.1f}-{share.high:.1f}", f"{share.reference[0]:g}-{share.reference[1]:g}"
        verdict = share.verdict if share.verdict in ("below", "above") else ""
        row = f"{share.label:<12}{share.count:>7}{share.percent:>9.1f}  {interval:<14}{usual:<10}{verdict}"
        lines.append(row.rstrip())
    if count.review:
        lines += ["", "for review, not counted:"]
        for cell in count.review:
            suggestion = "" if cell.suggestion is None else f"{cell.suggestion}? {cell.confidence:.1%}, "
            lines.append(f"  {names[cell.index]}: {suggestion}{'; '.join(cell.reasons)}")
        lines += ["", "The differential is not complete until a person has classified these cells."]
    lines.append("For research use. Reference ranges are for adults; a laboratory's own ranges take precedence.")
    return "\n".join(lines) + "\n"


def _as_csv(count: DifferentialAnswer, _: Sequence[str]) -> str:
    """Format the count with one row per class and one for the cells for review."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["class", "count", "percent", "low", "high", "reference_low", "reference_high", "verdict"])
    for share in count.shares:
        values = (share.percent, share.low, share.high)
        writer.writerow([share.label, share.count, *(f"{v:.2f}" for v in values), *share.reference, share.verdict])
    writer.writerow(["for review", count.for_review, "", "", "", "", "", ""])
    return out.getvalue()


def _as_json(count: DifferentialAnswer, names: Sequence[str]) -> str:
    """Format the count like the HTTP interface, with the file of each cell for review."""
    document = count.model_dump(mode="json")
    document["review"] = [{"file": names[cell["index"]], **cell} for cell in document["review"]]
    return json.dumps(document, indent=2) + "\n"
