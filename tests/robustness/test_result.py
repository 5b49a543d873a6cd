"""The committed results are those of a full run."""

from __future__ import annotations

import pytest

from benchmarks.record import read
from tests.robustness.result import RESULTS, RobustnessResult


def test_committed_results_are_of_a_full_run() -> None:
    result = read(RobustnessResult, RESULTS)
    if result is None:
        pytest.skip("make soak has not been run")
    assert not result.quick
