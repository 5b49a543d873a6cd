"""Tables of the checks, for the terminal and docs/saliency.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from wbc.settings import REPOSITORY
from wbc.tables import Table, update_document

Results = Mapping[str, Any]

_path: ContextVar[Path] = ContextVar("path", default=REPOSITORY / "results" / "saliency.json")


def show() -> str:
    """Return all tables for a cog block, with empty lines around them: of the committed results, or of `update`'s."""
    results = json.loads(_path.get().read_text())
    tables = [table.markdown() for table in make_tables(results)]
    return "\n" + "\n\n".join([_describe_run(results), *tables]) + "\n"


def update(document: Path, results: Path) -> None:
    """Update the cog blocks of a document from a file of results.

    Raises:
        DataError: the document does not exist or has an invalid block.
    """
    token = _path.set(results)
    try:
        update_document(document)
    finally:
        _path.reset(token)


def _describe_run(results: Results) -> str:
    images, bundle = results["images"], results["bundle"]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        f"Bundle `{bundle['name']}` {bundle['version']} (`{bundle['sha256'][:12]}`), {images['count']} images of "
        f"{images['split']}, seed {results['seed']}, {sum(results['wall_time_s'].values()):.0f} s; {versions}. "
        f"Intervals: {results['intervals']}."
    )


def make_tables(results: Results) -> list[Table]:
    """Return the tables of all checks, the summary first."""
    off_cell = results["off_cell"]
    val = off_cell["splits"][0]
    areas = [{"": f"{kind}, {curve['better']} is better", **curve["auc"]} for kind, curve in _curves(results)]
    classes = [{"predicted": name, **row} for name, row in val["by_class"].items()]
    tables = [
        summarise(results),
        _tabulate(
            [{**stage, "stage": f"`{stage['randomised_down_to']}`"} for stage in results["randomisation"]["stages"]],
            {"down to": "stage", "Spearman": "rank_correlation"},
            "**Rank correlation with the trained model's map**, layers randomised from the head down to the named one:",
        ),
        _tabulate(
            areas,
            {"": "", "Grad-CAM": "gradcam", "random map": "random", "centred Gaussian": "gaussian"},
            "**Area under the curves** of the calibrated probability:",
        ),
        _tabulate(
            off_cell["splits"],
            {
                "split": "split",
                "images": "images",
                "no ratio": "without_ratio",
                "rho": "ratio",
                "coverage": "coverage",
                "lift": "lift",
                "flagged": "flagged",
                "errors, flagged": "errors_among_flagged",
                "errors, unflagged": "errors_among_unflagged",
            },
            f"**Focus on the detected cell.** Flagged: a lift below {off_cell['min_focus_lift']}, the bundle's "
            f"threshold; 1% of these images of {val['split']} are below {val['lift_quantiles']['0.01']:.3f}.",
        ),
        _tabulate(
            classes,
            {
                "predicted": "predicted",
                "images": "images",
                "lift": "lift",
                "lift below 0": "below_0",
                "strength, lift below 0": "median_strength_below_0",
                "strength, lift above 0": "median_strength_above_0",
            },
            f"**Focus by predicted class**, {val['split']}. Strength: median of the map's maximum before scaling to 1.",
        ),
        _tabulate(
            results["background_swaps"],
            {
                "split": "split",
                "cells": "cells",
                "own background": "control_flipped",
                "any other background": "cells_flipped",
                "all pastes": "flips",
                "to the donor's class": "flips_to_the_donors_class",
                "fall of probability": "fall_of_probability",
            },
            "**Background swaps**: share of cells whose class changes when pasted back on their own background "
            "(control) and on others; share of all pastes that change it, and that change it to the donor's class.",
        ),
    ]
    if (drawn := results["drawn_masks"]) is not None:
        named = {"rho": "ratio", "coverage": "coverage", "lift": "lift", "share on the nucleus": "nucleus_ratio"}
        maps = [{"map": "Grad-CAM", **drawn["gradcam"]}, {"map": "centred Gaussian", **drawn["gaussian"]}]
        columns = {"map": "map", **named, "maximum on the cell": "hits"}
        tables.append(_tabulate(maps, columns, "**Location of the map**, by hand-drawn masks:"))
    return tables


def summarise(results: Results) -> Table:
    """Return one row per check."""
    same, random = results["agreement"], results["randomisation"]
    maps = f"closed form = automatic differentiation, {same['maps']} maps"
    rows = [
        (maps, f"largest difference {same['largest_difference']:.1e}", _verdict(same)),
        ("all layers randomised, rank correlation", random["stages"][-1]["rank_correlation"], _verdict(random)),
    ]
    for kind, curve in _curves(results):
        for other, name in (("random", "a random map"), ("gaussian", "a centred Gaussian")):
            entry = curve["difference"][other]
            rows.append((f"{kind} AUC minus that of {name}", entry["gradcam_minus_this"], _verdict(entry)))
    if (drawn := results["drawn_masks"]) is not None:
        found = results["foreground"]
        rows += [
            ("lift on hand-drawn cells", drawn["gradcam"]["lift"], _verdict(drawn)),
            ("error of the served lift there", drawn["served_lift_error"], ""),
            ("detected cell against drawn, Dice", found["cell_dice"], ""),
            ("detected nucleus against drawn, Dice", found["nucleus_dice"], ""),
            ("detected cell with a Dice below 0.5", found["cell_dice_below_half"], ""),
            ("pictures without a valid mask", found["invalid"], ""),
        ]
    for swap in results["background_swaps"]:
        rows.append((f"class changes on a swapped background, {swap['split']}", swap["cells_flipped"], ""))
    return Table(("check", "result", "verdict"), [[_format(cell) for cell in row] for row in rows])


def _curves(results: Results) -> list[tuple[str, Results]]:
    return [(kind, results["curves"][kind]) for kind in ("insertion", "deletion")]


def _tabulate(rows: Iterable[Results], columns: Mapping[str, str], caption: str) -> Table:
    """Return a table of the named values of each row."""
    return Table(columns, [[_format(row[key]) for key in columns.values()] for row in rows], caption)


def _format(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
    return "none" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _verdict(entry: Results) -> str:
    return "passed" if entry["passed"] else "failed"
