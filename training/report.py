"""HTML report of a run: scores, history, focus, data and configuration."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment

from training import figures
from wbc.labels import CLASSES
from wbc.run_record import TrainingRecord, write_rows
from wbc.tables import Table

TEMPLATE = Path(__file__).with_name("report.html")


def write(folder: Path, record: TrainingRecord, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `report.html` with its figures, `split_summary.csv` and, if files are unreadable, `unreadable.csv`.

    Args:
        folder: results folder of the run.
        record: record of the run.
        rows: history of the run.
    """
    counts = {"train": record.train_counts, "val": record.val_counts}
    summary = [{"split": name, **c, "all": sum(c.values())} for name, c in counts.items()]
    write_rows(folder / "split_summary.csv", summary)
    if record.unreadable:
        write_rows(folder / "unreadable.csv", [{"file": f, "reason": r} for f, r in record.unreadable.items()])
    images = {name: list(c.values()) for name, c in counts.items()}
    figures.class_distribution(images, folder / "class_distribution.png")
    figures.history(rows, folder / "history.png")
    checks = [row for row in rows if row.get("focus") is not None]
    if checks:
        figures.focus(rows, record.config["xai_focus_threshold"], folder / "focus.png")
    titles = ("training", "validation, held out of training" if record.val_held_out else "validation")
    page = Environment(autoescape=True, trim_blocks=True).from_string(TEMPLATE.read_text())
    html = page.render(
        record=record,
        result=_result(record, rows),
        focus=checks[-1] if checks else None,
        columns=("split", *CLASSES, "all"),
        splits=[(title, *row, sum(row)) for title, row in zip(titles, images.values(), strict=True)],
    )
    (folder / "report.html").write_text(html)


def _result(record: TrainingRecord, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "best epoch": f"{record.best_epoch} of {len(rows)}, phase {rows[record.best_epoch - 1]['phase']}",
        "validation accuracy": f"{record.val_accuracy:.4f}",
        "validation balanced accuracy": f"{record.val_balanced_accuracy:.4f}",
        "validation macro F1": "" if record.val_macro_f1 is None else f"{record.val_macro_f1:.4f}",
        "validation cross-entropy, nats": f"{record.val_loss:.4f}",
        "parameters": "" if record.parameters is None else f"{record.parameters:,}",
        "wall time, s": f"{record.wall_time_s:g}",
        "seed": record.config["seed"],
    }


def history_table(path: str) -> str:
    """Return the epochs of a `history.csv` as a Markdown table."""
    columns = {"phase": "phase", "epoch": "epoch", "loss": "loss", "val_accuracy": "Val accuracy, %"}
    columns |= {"val_balanced_accuracy": "Val balanced, %", "val_loss": "Val loss", "seconds": "s"}
    with Path(path).open(newline="") as file:
        rows = [[_format(name, row[name]) for name in columns] for row in csv.DictReader(file)]
    return Table(columns.values(), rows).markdown()


def _format(name: str, value: str) -> str:
    if "accuracy" in name:
        return f"{100 * float(value):.2f}"
    return f"{float(value):.4f}" if "loss" in name else f"{float(value):.0f}"
