"""The arithmetic of the page, against published values and against the library's own facts."""

from __future__ import annotations

import json

import pytest

from wbc.differential import differential
from wbc.labels import CLASSES, MORPHOLOGY

from .page import Page

# (count, total): the interval in percent. The first four are the table of Rümke (1979); the others hold the ends, and a
# count that no laboratory reaches.
INTERVALS = {
    (5, 100): [1.6, 11.3],
    (10, 200): [2.4, 9.0],
    (50, 100): [39.8, 60.2],
    (0, 100): [0.0, 3.6],
    (100, 100): [96.4, 100.0],
    (1, 1): [2.5, 100.0],
    (0, 0): [0.0, 100.0],
    (1000, 5000): [18.9, 21.1],
}


def test_clopper_pearson(page: Page) -> None:
    cases = [list(case) for case in INTERVALS]
    intervals = page.module("statistics.js", f"{cases}.map(([count, total]) => m.clopperPearson(count, total))")
    rounded = [[round(100 * share, 1) for share in interval] for interval in intervals]
    assert dict(zip(INTERVALS, rounded, strict=True)) == INTERVALS


def test_differential_is_that_of_the_library(page: Page) -> None:
    """Share, interval and verdict of each class, for counts that give every verdict."""
    sessions = [
        (1, 3, 30, 5, 61),
        (0, 0, 0, 0, 0),
        (0, 40, 10, 30, 20),
        (2, 8, 22, 7, 41),
        (1, 0, 0, 0, 0),
        (0, 5, 60, 10, 125),
    ]
    verdicts = set()
    for session in sessions:
        counts = dict(zip(CLASSES, session, strict=True))
        rows = page.module("differential.js", f"m.shares({json.dumps(counts)}, {sum(session)})")
        for row, share in zip(rows, differential(counts).shares, strict=True):
            assert (row["name"], row["count"], row["verdict"]) == (share.label, share.count, share.verdict)
            found = [100 * row["share"], *(100 * limit for limit in row["interval"])]
            assert found == pytest.approx([share.percent, share.low, share.high], abs=1e-9)
            verdicts.add(row["verdict"])
    assert verdicts == {"below", "within", "above", "unclear"}


@pytest.mark.parametrize(("foreign", "usual", "said"), [(3, 2, True), (2, 3, False), (3, 3, False), (4, 0, False)])
def test_one_notice_where_most_cells_are_unlike_the_training(page: Page, foreign: int, usual: int, said: bool) -> None:
    def cell(*codes: str) -> dict[str, object]:
        review = {"needed": bool(codes), "reasons": [{"code": code} for code in codes]}
        return {"status": "done", "decision": None, "result": {"class": "Monocyte", "review": review}}

    cells = json.dumps([cell("unlike_training")] * foreign + [cell("low_confidence")] * usual)
    result = page.module("differential.js", f"m.differential({cells})")
    assert result["foreign"] is said
    words = page.module("differential-view.js", f"m.words({json.dumps(result)})")
    assert words.count("unlike the training images") == said


def test_classes_and_adult_ranges_are_those_of_the_library(page: Page) -> None:
    classes = page.module("classes.js", "m.CLASSES")
    stated = {entry["name"]: tuple(entry["adultPercent"]) for entry in classes}
    assert stated == {name: facts.adult_share_percent for name, facts in MORPHOLOGY.items()}
    assert list(stated) == list(MORPHOLOGY)
