"""The arithmetic of the page, against published values and against the library's own facts."""

from __future__ import annotations

from wbc.labels import MORPHOLOGY

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


def test_reading_against_the_adult_range(page: Page) -> None:
    readings = {
        (0.5, 0.4, 0.6): "within",
        (0.3, 0.2, 0.39): "below",
        (0.3, 0.2, 0.41): "maybe_below",
        (0.8, 0.71, 0.9): "above",
        (0.8, 0.69, 0.9): "maybe_above",
    }
    cases = [list(case) for case in readings]
    found = page.module(
        "differential.js", f"{cases}.map(([share, ...interval]) => m.reading(share, interval, [40, 70]))"
    )
    assert dict(zip(readings, found, strict=True)) == readings


def test_classes_and_adult_ranges_are_those_of_the_library(page: Page) -> None:
    classes = page.module("classes.js", "m.CLASSES")
    stated = {entry["name"]: tuple(entry["adultPercent"]) for entry in classes}
    assert stated == {name: facts.adult_share_percent for name, facts in MORPHOLOGY.items()}
    assert list(stated) == list(MORPHOLOGY)
