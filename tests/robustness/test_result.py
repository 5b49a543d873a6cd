"""The document's tables are those of the committed results."""

from __future__ import annotations

import pytest

from benchmarks.record import read
from tests.robustness.result import BEGIN, DOCUMENT, END, RESULTS, RobustnessResult, tables


def test_document_shows_the_committed_results() -> None:
    result = read(RobustnessResult, RESULTS)
    if result is None:
        pytest.skip("make soak has not been run")
    shown = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown == tables(result)
    assert not result.quick
