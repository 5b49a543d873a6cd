"""Prior correction recovers known class shares."""

from __future__ import annotations

import numpy as np
import pytest

from wbc.adaptation.calibration import probabilities
from wbc.adaptation.prior import estimate_prior, reweigh
from wbc.errors import InvalidParameter

EVEN = np.full(5, 0.2)


def sampled(shares: list[float], count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn with these shares, and posteriors under an even prior that are exactly right for them."""
    rng = np.random.default_rng(0)
    labels = rng.choice(5, count, p=shares)
    # One unit-variance Gaussian a class, at the corners of a simplex: log-posteriors are linear in x.
    centres = 1.5 * np.eye(5)
    x = centres[labels] + rng.normal(0, 1, (count, 5))
    return labels, probabilities(x @ centres.T - 0.5 * (centres**2).sum(axis=1))


def test_shares_of_a_shifted_batch_are_found() -> None:
    shares = [0.01, 0.04, 0.22, 0.08, 0.65]
    labels, posterior = sampled(shares)
    found = estimate_prior(posterior, EVEN)
    actual = np.bincount(labels, minlength=5) / len(labels)
    assert found.sum() == pytest.approx(1.0)
    assert found == pytest.approx(actual, abs=0.02)
    before = (posterior.argmax(axis=1) == labels).mean()
    after = (reweigh(posterior, EVEN, found).argmax(axis=1) == labels).mean()
    assert after > before + 0.05


def test_a_batch_that_is_not_shifted_is_left_alone() -> None:
    _, posterior = sampled([0.2] * 5)
    assert estimate_prior(posterior, EVEN) == pytest.approx(EVEN, abs=0.03)


def test_reweighing_by_hand() -> None:
    rows = np.array([[0.5, 0.5], [0.9, 0.1]])
    found = reweigh(rows, np.array([0.5, 0.5]), np.array([0.2, 0.8]))
    assert found == pytest.approx(np.array([[0.2, 0.8], [0.18 / 0.26, 0.08 / 0.26]]))


def test_impossible_priors_and_empty_batches_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="each class needs a share above 0"):
        estimate_prior(np.full((3, 2), 0.5), np.array([1.0, 0.0]))
    with pytest.raises(InvalidParameter, match="at least one"):
        estimate_prior(np.zeros((0, 5)), EVEN)
