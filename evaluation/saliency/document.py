"""The results as text: a few lines for the terminal, tables for the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wbc.errors import DataError
from wbc.markdown import table

BEGIN, END = "<!-- check-saliency: begin -->", "<!-- check-saliency: end -->"
"""Marks in a document; what stands between them is generated."""

Results = Mapping[str, Any]


def summary(results: Results) -> str:
    """One line a check."""
    lines = [f"{name:<46} {value:<28} {verdict}".rstrip() for name, value, verdict in _checks(results)]
    return "\n".join(lines)


def tables(results: Results) -> str:
    """The results as Markdown."""
    image, bundle = results["images"], results["bundle"]
    used = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    parts = [
        f"Bundle `{bundle['name']}` {bundle['version']} (`{bundle['sha256'][:12]}`), {image['count']} images of "
        f"{image['split']}, seed {results['seed']}, {sum(results['wall_time_s'].values()):.0f} s; {used}. "
        f"Intervals: {results['intervals']}.",
        table(("check", "result", "verdict"), _checks(results)),
        "**Rank correlation with the trained model's map**, layers randomised from the head down to the one named:",
        table(
            ("down to", "Spearman"),
            [
                (f"`{s['randomised_down_to']}`", _number(s["rank_correlation"]))
                for s in results["randomisation"]["stages"]
            ],
        ),
        "**Area under the curves** of the calibrated probability:",
        table(
            ("", "Grad-CAM", "random map", "centred Gaussian"), [_areas(results, k) for k in ("insertion", "deletion")]
        ),
        "**Focus as it is served**, on the cell that was found:",
        table(
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
            [_focus_row(row) for row in results["off_cell"]["splits"]],
        ),
        f"Flagged is a lift below {results['off_cell']['min_focus_lift']}, the threshold in this bundle; 1% of these "
        f"images of {image['split']} lie below {results['off_cell']['splits'][0]['lift_quantiles']['0.01']:.3f}.",
        f"**The same by class**, {image['split']}. Strength is the map's maximum before it is scaled to 1, median:",
        table(
            ("predicted", "images", "lift", "lift below 0", "strength, lift below 0", "strength, lift above 0"),
            [_class_row(name, row) for name, row in results["off_cell"]["splits"][0]["by_class"].items()],
        ),
        "**Background swaps**: share of the cells whose class changes, pasted back on their own background (the "
        "control) and on those of other images; share of all pastes that change it, and that change it to the donor's.",
        table(
            (
                "split",
                "cells",
                "own background back",
                "any other background",
                "all pastes",
                "to the donor's class",
                "fall of probability",
            ),
            [_swap_row(row) for row in results["background_swaps"]],
        ),
    ]
    if results["drawn_masks"] is not None:
        parts += [
            "**Where the map lies**, by hand-drawn masks:",
            table(
                ("map", "rho", "coverage", "lift", "share on the nucleus", "highest point on the cell"),
                [
                    (name, *(_number(results["drawn_masks"][key][of]) for of in LOCATED))
                    for name, key in (("Grad-CAM", "gradcam"), ("centred Gaussian", "gaussian"))
                ],
            ),
        ]
    return "\n\n".join(parts)


LOCATED = ("ratio", "coverage", "lift", "nucleus_ratio", "hits")


def replace_results(document: Path, results: Results) -> None:
    """Put the tables between the marks of a document.

    Raises:
        DataError: the document is not there or lacks the marks.
    """
    text = document.read_text() if document.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(f"{document} lacks the lines {BEGIN} and {END}, between which the results go")
    document.write_text(f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}{after}")


def _checks(results: Results) -> list[tuple[str, str, str]]:
    same, random, curve = results["agreement"], results["randomisation"], results["curves"]
    rows = [
        (
            f"closed form = automatic differentiation, {same['maps']} maps",
            f"at most {same['largest_difference']:.1e} apart",
            _verdict(same),
        ),
        (
            "all layers randomised, rank correlation",
            _number(random["stages"][-1]["rank_correlation"]),
            _verdict(random),
        ),
    ]
    for kind in ("insertion", "deletion"):
        for other, name in (("random", "a random map"), ("gaussian", "a centred Gaussian")):
            entry = curve[kind]["difference"][other]
            rows.append((f"{kind} AUC minus that of {name}", _number(entry["gradcam_minus_this"]), _verdict(entry)))
    if results["drawn_masks"] is not None:
        drawn, found = results["drawn_masks"], results["foreground"]
        rows += [
            ("lift on hand-drawn cells", _number(drawn["gradcam"]["lift"]), _verdict(drawn)),
            ("error of the served lift there", _number(drawn["served_lift_error"]), ""),
            ("found cell against drawn, Dice", _number(found["cell_dice"]), ""),
            ("found nucleus against drawn, Dice", _number(found["nucleus_dice"]), ""),
            ("found cell with a Dice below 0.5", _number(found["cell_dice_below_half"]), ""),
            ("pictures without a valid mask", _number(found["invalid"]), ""),
        ]
    rows += [
        (f"class changes on a swapped background, {s['split']}", _number(s["cells_flipped"]), "")
        for s in results["background_swaps"]
    ]
    return rows


def _areas(results: Results, kind: str) -> tuple[str, ...]:
    entry = results["curves"][kind]
    return (
        f"{kind}, {entry['better']} is better",
        *(_number(entry["auc"][m]) for m in ("gradcam", "random", "gaussian")),
    )


def _focus_row(row: Results) -> tuple[str, ...]:
    names = ("without_ratio", "ratio", "coverage", "lift", "flagged", "errors_among_flagged", "errors_among_unflagged")
    return (row["split"], str(row["images"]), *(_number(row[name]) for name in names))


def _class_row(name: str, row: Results) -> tuple[str, ...]:
    strengths = (row["median_strength_below_0"], row["median_strength_above_0"])
    shown = ("none" if value is None else f"{value:.3g}" for value in strengths)
    return (name, str(row["images"]), _number(row["lift"]), _number(row["below_0"]), *shown)


def _swap_row(row: Results) -> tuple[str, ...]:
    names = ("control_flipped", "cells_flipped", "flips", "flips_to_the_donors_class", "fall_of_probability")
    return (row["split"], str(row["cells"]), *(_number(row[name]) for name in names))


def _number(estimate: Mapping[str, float] | None) -> str:
    if estimate is None:
        return "none"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def _verdict(entry: Results) -> str:
    return "passed" if entry["passed"] else "failed"
