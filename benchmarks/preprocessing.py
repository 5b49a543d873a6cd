"""The enhancement filter by variant, on one core."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.cells import pictures
from benchmarks.machine import Machine
from benchmarks.record import FilterResult
from benchmarks.timing import one_core, spread
from wbc.images import decode
from wbc.preprocessing.enhance import UNCALIBRATED, VARIANTS, enhance
from wbc.preprocessing.framing import Framing, frame

BUDGET_MS, BUDGET_VARIANT = 6.0, "v1"
"""What the filter may take: it must not be felt beside a forward pass."""

SIZE = 224


REPEATS, QUICK_REPEATS = 300, 5


def measure_preprocessing(images: Path | None, machine: Machine, *, quick: bool = False) -> FilterResult:
    """Time every variant on framed pictures of 224x224 pixels, on one core.

    Args:
        images: folder of image files; None draws cells.
        machine: what it runs on, read before anything is measured.
        quick: a short run.
    """
    repeats = QUICK_REPEATS if quick else REPEATS
    data, described = pictures(images, 32)
    framed = [frame(decode(item), SIZE, Framing())[0] for item in data]
    with one_core():
        variants = {
            variant: spread(partial(enhance, variant=variant, macenko=UNCALIBRATED), framed, repeats)
            for variant in VARIANTS
        }
    return FilterResult(
        command="wbc bench preprocessing",
        quick=quick,
        machine=machine,
        images=described,
        size=SIZE,
        budget_ms=BUDGET_MS,
        budget_variant=BUDGET_VARIANT,
        variants=variants,
    )
