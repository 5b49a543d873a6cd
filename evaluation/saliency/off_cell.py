"""How often attention lies off the found cell, and whether the model errs more often there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.saliency import estimates
from evaluation.saliency.sample import Sample
from wbc.labels import CLASSES
from wbc.saliency.focus import focus

QUANTILES = (0.0, 0.01, 0.02, 0.05, 0.25, 0.5, 0.75)


def off_cell(sample: Sample, least: float | None, *, seed: int) -> dict[str, Any]:
    """Focus of the predicted class' unmasked map on the cell that was found, as it is served.

    Args:
        sample: images of one split.
        least: the lift below which an answer is flagged `attention_off_cell`; None flags nothing.
        seed: of the intervals.
    """
    measured = [focus(heat, found) for heat, found in zip(sample.heats, sample.foregrounds, strict=True)]
    lift = np.array([np.nan if f.lift is None else f.lift for f in measured])
    there = np.isfinite(lift)
    flagged = there & (lift < least) if least is not None else np.zeros(len(lift), np.bool_)
    wrong = sample.predicted != sample.labels
    ratios = [(f.ratio, f.coverage) for f in measured if f.ratio is not None and f.coverage is not None]
    return {
        "split": sample.split,
        "images": len(sample),
        "without_ratio": estimates.share(~there),
        "ratio": estimates.mean([ratio for ratio, _ in ratios], seed),
        "coverage": estimates.mean([coverage for _, coverage in ratios], seed),
        "lift": estimates.mean(lift[there], seed),
        "lift_quantiles": {f"{q:g}": _quantile(lift[there], q) for q in QUANTILES},
        "flagged": estimates.share(flagged),
        "errors": estimates.share(wrong),
        "errors_among_flagged": estimates.share(wrong[flagged]),
        "errors_among_unflagged": estimates.share(wrong[~flagged]),
        "by_class": {
            name: _class_row(sample, lift, sample.predicted == index, seed)
            for index, name in enumerate(CLASSES)
            if (sample.predicted == index).any()
        },
    }


def _class_row(sample: Sample, lift: NDArray[np.float64], chosen: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    """One predicted class: its lift, how often that is negative, and how strong its maps are before they are scaled."""
    strength = sample.outputs.cam[np.arange(len(sample)), sample.predicted].max(axis=(1, 2))
    there = chosen & np.isfinite(lift)
    return {
        "images": int(chosen.sum()),
        "lift": estimates.mean(lift[there], seed),
        "below_0": estimates.share(lift[there] < 0),
        "median_strength_below_0": _quantile(strength[there & (lift < 0)], 0.5),
        "median_strength_above_0": _quantile(strength[there & (lift >= 0)], 0.5),
    }


def _quantile(values: NDArray[np.float64], q: float) -> float | None:
    return round(float(np.quantile(values, q)), 6) if len(values) else None
