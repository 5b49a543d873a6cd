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

PAGE = """\
{% macro cells(rows) %}
{% for row in rows %}<tr>{% for value in row -%}
<td{% if value is number and value is not boolean %} class=number{% endif %}>{{ value }}</td>
{%- endfor %}</tr>
{% endfor %}{% endmacro %}
<!doctype html><html lang="en"><meta charset="utf-8"><title>Training run</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0}td,th{padding:.15rem .7rem;border-bottom:1px solid #ddd;text-align:left}
td.number{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}
.warning{border-left:4px solid #d55e00;background:#fff4ec;padding:.5rem 1rem}</style>
<h1>Training run</h1>
{% for phase, reason in record.stops.items() -%}
<p class="warning">Phase {{ phase }} ended early: {{ reason }}.</p>
{% endfor -%}
<table>{{ cells(result.items()) }}</table>
<p>The epoch was selected on the validation split, so its validation scores are optimistic. They do not apply to other
devices.</p>
<h2>History</h2>
<img src="history.png" alt="loss and accuracy by epoch">
<h2>Focus</h2>
{% if focus -%}
<img src="focus.png" alt="focus ratio, coverage and lift by epoch">
<p>Last check, epoch {{ focus.epoch }}: ratio {{ "%.3f" % focus.focus }} (standard deviation
{{ "%.3f" % focus.focus_spread }}), coverage {{ "%.3f" % focus.focus_coverage }}, lift {{ "%.3f" % focus.focus_lift }}.
Two kinds of image have no ratio: no cell was found in {{ "%.0f" % (100 * focus.focus_invalid) }}% of the images, and
{{ "%.0f" % (100 * focus.focus_empty) }}% had an empty map.</p>
{% else -%}
<p>The focus was not measured, or no image has a ratio.</p>
{% endif -%}
<h2>Data</h2>
<table><tr>{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr>
{{ cells(splits) }}</table>
<img src="class_distribution.png" alt="images per class and split">
<p>{{ record.unreadable | length }} unreadable files were left out.</p>
{% if record.unreadable -%}
<table><tr><th>file</th><th>reason</th></tr>{{ cells(record.unreadable.items()) }}</table>
{% endif -%}
<h2>Configuration</h2>
<table>{{ cells(record.config.items()) }}</table>
<h2>Versions</h2>
<table>{{ cells(record.versions.items()) }}</table>
</html>
"""


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
    page = Environment(autoescape=True, trim_blocks=True).from_string(PAGE)
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
