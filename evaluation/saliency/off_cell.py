"""Focus of the maps on the detected cell, and the error rate of images that are flagged for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation import intervals
from evaluation.saliency.sample import Sample
from wbc.labels import CLASSES

QUANTILES = (0.0, 0.01, 0.02, 0.05, 0.25, 0.5, 0.75)


def measure_focus(sample: Sample, least: float | None, *, seed: int) -> dict[str, Any]:
    """Measure the focus of the predicted class' unmasked map on the detected cell.

    Images with a lift below `least` are flagged `attention_off_cell`; None flags none.
    """
    lift = np.array([np.nan if one.lift is None else one.lift for one in sample.focus])
    there = np.isfinite(lift)
    flagged = there & (lift < least) if least is not None else np.zeros(len(lift), np.bool_)
    wrong = sample.predicted != sample.labels
    ratios = [(f.ratio, f.coverage) for f in sample.focus if f.ratio is not None and f.coverage is not None]
    return {
        "split": sample.split,
        "images": len(sample),
        "without_ratio": intervals.share(~there),
        "ratio": intervals.mean([ratio for ratio, _ in ratios], seed),
        "coverage": intervals.mean([coverage for _, coverage in ratios], seed),
        "lift": intervals.mean(lift[there], seed),
        "lift_quantiles": {f"{q:g}": _quantile(lift[there], q) for q in QUANTILES},
        "flagged": intervals.share(flagged),
        "errors": intervals.share(wrong),
        "errors_among_flagged": intervals.share(wrong[flagged]),
        "errors_among_unflagged": intervals.share(wrong[~flagged]),
        "by_class": {
            name: _measure_class(sample, lift, sample.predicted == index, seed)
            for index, name in enumerate(CLASSES)
            if (sample.predicted == index).any()
        },
    }


def _measure_class(sample: Sample, lift: NDArray[np.float64], chosen: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    """Measure one predicted class: its lift, and the strength of its maps before scaling."""
    strength = sample.outputs.cam[np.arange(len(sample)), sample.predicted].max(axis=(1, 2))
    there = chosen & np.isfinite(lift)
    return {
        "images": int(chosen.sum()),
        "lift": intervals.mean(lift[there], seed),
        "below_0": intervals.share(lift[there] < 0),
        "median_strength_below_0": _quantile(strength[there & (lift < 0)], 0.5),
        "median_strength_above_0": _quantile(strength[there & (lift >= 0)], 0.5),
    }


def _quantile(values: NDArray[np.float64], q: float) -> float | None:
    return round(float(np.quantile(values, q)), 6) if len(values) else None
