"""The report of a run: one page that shows what was trained, on what, how, and how it went."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from training import figures
from wbc.labels import CLASSES
from wbc.run_record import TrainingRecord, write_rows
from wbc.tables import Table

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0}td,th{padding:.15rem .7rem;border-bottom:1px solid #ddd;text-align:left}
td.number{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}
.warning{border-left:4px solid #d55e00;background:#fff4ec;padding:.5rem 1rem}"""


def history_table(path: str) -> str:
    """Epochs of a `history.csv` as a Markdown table."""
    columns = {"phase": "phase", "epoch": "epoch", "loss": "loss", "val_accuracy": "Val accuracy, %"}
    columns |= {"val_balanced_accuracy": "Val balanced, %", "val_loss": "Val loss", "seconds": "s"}
    with Path(path).open(newline="") as file:
        rows = [[_shown(name, row[name]) for name in columns] for row in csv.DictReader(file)]
    return Table(columns.values(), rows).markdown()


def _shown(name: str, value: str) -> str:
    if "accuracy" in name:
        return f"{100 * float(value):.2f}"
    return f"{float(value):.4f}" if "loss" in name else f"{float(value):.0f}"


def write(folder: Path, record: TrainingRecord, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `report.html` and what it shows: `split_summary.csv`, `unreadable.csv`, and the pictures.

    Args:
        folder: of the run.
        record: its record.
        rows: its history.
    """
    counts = {"train": record.train_counts, "val": record.val_counts}
    write_rows(
        folder / "split_summary.csv", [{"split": name, **c, "all": sum(c.values())} for name, c in counts.items()]
    )
    if record.unreadable:
        write_rows(folder / "unreadable.csv", [{"file": f, "reason": r} for f, r in record.unreadable.items()])
    figures.class_distribution(
        {name: list(c.values()) for name, c in counts.items()}, folder / "class_distribution.png"
    )
    figures.history(rows, folder / "history.png")
    checked = any(row.get("focus") is not None for row in rows)
    if checked:
        figures.focus(rows, record.config["xai_focus_threshold"], folder / "focus.png")
    (folder / "report.html").write_text(_page(record, rows, checked))


def _page(record: TrainingRecord, rows: Sequence[Mapping[str, Any]], checked: bool) -> str:
    best = rows[record.best_epoch - 1]
    result = {
        "best epoch": f"{record.best_epoch} of {len(rows)}, phase {best['phase']}",
        "validation accuracy": f"{record.val_accuracy:.4f}",
        "validation balanced accuracy": f"{record.val_balanced_accuracy:.4f}",
        "validation macro F1": "" if record.val_macro_f1 is None else f"{record.val_macro_f1:.4f}",
        "validation cross-entropy, nats": f"{record.val_loss:.4f}",
        "parameters": "" if record.parameters is None else f"{record.parameters:,}",
        "wall time, s": f"{record.wall_time_s:g}",
        "seed": record.config["seed"],
    }
    parts = [
        "<h1>Training run</h1>",
        *(f'<p class="warning">Phase {phase} ended early: {escape(why)}.</p>' for phase, why in record.stops.items()),
        _pairs(result),
        "<p>The epoch was chosen on the validation split, so its scores are those of the best of several "
        "tries on these images. They say nothing of another device.</p>",
        "<h2>History</h2>",
        '<img src="history.png" alt="loss and accuracy over the epochs">',
        "<h2>Focus</h2>",
        *_focus(rows, checked),
        "<h2>Data</h2>",
        _table(
            ["split", *CLASSES, "all"],
            [
                ["training", *record.train_counts.values(), sum(record.train_counts.values())],
                [_val_name(record), *record.val_counts.values(), sum(record.val_counts.values())],
            ],
        ),
        '<img src="class_distribution.png" alt="images of each class in each split">',
        f"<p>{len(record.unreadable)} unreadable files were left out.</p>",
        _table(["file", "why"], record.unreadable.items()) if record.unreadable else "",
        "<h2>Configuration</h2>",
        _pairs(record.config),
        "<h2>Versions</h2>",
        _pairs(record.versions),
    ]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Training run</title><style>{STYLE}</style>'
    return head + "\n".join(parts) + "</html>\n"


def _focus(rows: Sequence[Mapping[str, Any]], checked: bool) -> Iterable[str]:
    if not checked:
        yield "<p>The focus was not measured, or no image gave a ratio.</p>"
        return
    last = [row for row in rows if row.get("focus") is not None][-1]
    yield '<img src="focus.png" alt="focus ratio, coverage and lift over the epochs">'
    yield (
        f"<p>Last check, epoch {last['epoch']}: ratio {last['focus']:.3f} (standard deviation "
        f"{last['focus_spread']:.3f}), coverage {last['focus_coverage']:.3f}, lift {last['focus_lift']:.3f}. "
        f"In {last['focus_invalid']:.0%} of the images no cell was found, and "
        f"{last['focus_empty']:.0%} had an empty map; these give no ratio.</p>"
    )


def _val_name(record: TrainingRecord) -> str:
    return "validation, held out of training" if record.val_held_out else "validation"


def _pairs(values: Mapping[str, Any]) -> str:
    return _table([], values.items())


def _table(head: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    top = "<tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr>" if head else ""
    return f"<table>{top}{''.join('<tr>' + ''.join(map(_cell, row)) + '</tr>' for row in rows)}</table>"


def _cell(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"<td{' class=number' if number else ''}>{escape(str(value))}</td>"
