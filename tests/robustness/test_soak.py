"""A short soak; `make soak` runs the long one."""

from __future__ import annotations

from tests.robustness.soak import SHARES, soak
from tests.served import Served


def test_short_soak(server: Served) -> None:
    outcome = soak(server, 150)
    # So few requests say little of memory: the long form holds it to 5%.
    assert not outcome.complaints(most_growth=0.10), outcome
    assert set(outcome.kinds) == set(SHARES)
    assert outcome.statuses[200] > 50
