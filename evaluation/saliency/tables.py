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
    off_cell, swaps = results["off_cell"], results["background_swaps"]
    val = off_cell["splits"][0]
    focus = ("without_ratio", "ratio", "coverage", "lift", "flagged", "errors_among_flagged", "errors_among_unflagged")
    swap = ("control_flipped", "cells_flipped", "flips", "flips_to_the_donors_class", "fall_of_probability")
    tables = [
        summarise(results),
        Table(
            ("down to", "Spearman"),
            [
                (f"`{s['randomised_down_to']}`", _format(s["rank_correlation"]))
                for s in results["randomisation"]["stages"]
            ],
            "**Rank correlation with the trained model's map**, layers randomised from the head down to the named one:",
        ),
        Table(
            ("", "Grad-CAM", "random map", "centred Gaussian"),
            [
                (f"{kind}, {curve['better']} is better", *_cells(curve["auc"], ("gradcam", "random", "gaussian")))
                for kind, curve in ((kind, results["curves"][kind]) for kind in ("insertion", "deletion"))
            ],
            "**Area under the curves** of the calibrated probability:",
        ),
        Table(
            (
                "split",
                "images",
                "no ratio",
                "rho",
                "coverage",
                "lift",
                "flagged",
                "errors, flagged",
                "errors, unflagged",
            ),
            [(row["split"], row["images"], *_cells(row, focus)) for row in off_cell["splits"]],
            f"**Focus on the detected cell.** Flagged: a lift below {off_cell['min_focus_lift']}, the bundle's "
            f"threshold; 1% of these images of {val['split']} are below {val['lift_quantiles']['0.01']:.3f}.",
        ),
        Table(
            ("predicted", "images", "lift", "lift below 0", "strength, lift below 0", "strength, lift above 0"),
            [
                (name, row["images"], *_cells(row, ("lift", "below_0")), *_strengths(row))
                for name, row in val["by_class"].items()
            ],
            f"**Focus by predicted class**, {val['split']}. Strength: median of the map's maximum before scaling to 1.",
        ),
        Table(
            (
                "split",
                "cells",
                "own background",
                "any other background",
                "all pastes",
                "to the donor's class",
                "fall of probability",
            ),
            [(row["split"], row["cells"], *_cells(row, swap)) for row in swaps],
            "**Background swaps**: share of cells whose class changes when pasted back on their own background "
            "(control) and on others; share of all pastes that change it, and that change it to the donor's class.",
        ),
    ]
    if (drawn := results["drawn_masks"]) is not None:
        names = ("ratio", "coverage", "lift", "nucleus_ratio", "hits")
        tables.append(
            Table(
                ("map", "rho", "coverage", "lift", "share on the nucleus", "maximum on the cell"),
                [
                    ("Grad-CAM", *_cells(drawn["gradcam"], names)),
                    ("centred Gaussian", *_cells(drawn["gaussian"], names)),
                ],
                "**Location of the map**, by hand-drawn masks:",
            )
        )
    return tables


def summarise(results: Results) -> Table:
    """Return one row per check."""
    same, random = results["agreement"], results["randomisation"]
    rows = [
        (
            f"closed form = automatic differentiation, {same['maps']} maps",
            f"largest difference {same['largest_difference']:.1e}",
            _verdict(same),
        ),
        (
            "all layers randomised, rank correlation",
            _format(random["stages"][-1]["rank_correlation"]),
            _verdict(random),
        ),
    ]
    for kind in ("insertion", "deletion"):
        for other, name in (("random", "a random map"), ("gaussian", "a centred Gaussian")):
            entry = results["curves"][kind]["difference"][other]
            rows.append((f"{kind} AUC minus that of {name}", _format(entry["gradcam_minus_this"]), _verdict(entry)))
    if (drawn := results["drawn_masks"]) is not None:
        found = results["foreground"]
        rows += [
            ("lift on hand-drawn cells", _format(drawn["gradcam"]["lift"]), _verdict(drawn)),
            ("error of the served lift there", _format(drawn["served_lift_error"]), ""),
            ("detected cell against drawn, Dice", _format(found["cell_dice"]), ""),
            ("detected nucleus against drawn, Dice", _format(found["nucleus_dice"]), ""),
            ("detected cell with a Dice below 0.5", _format(found["cell_dice_below_half"]), ""),
            ("pictures without a valid mask", _format(found["invalid"]), ""),
        ]
    for swap in results["background_swaps"]:
        rows.append((f"class changes on a swapped background, {swap['split']}", _format(swap["cells_flipped"]), ""))
    return Table(("check", "result", "verdict"), rows)


def _cells(row: Results, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(_format(row[name]) for name in names)


def _strengths(row: Results) -> tuple[str, ...]:
    values = (row["median_strength_below_0"], row["median_strength_above_0"])
    return tuple("none" if value is None else f"{value:.3g}" for value in values)


def _format(estimate: Mapping[str, float] | None) -> str:
    if estimate is None:
        return "none"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def _verdict(entry: Results) -> str:
    return "passed" if entry["passed"] else "failed"
