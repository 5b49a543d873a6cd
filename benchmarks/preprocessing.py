"""Time of each variant of the enhancement filter, on one core."""

from __future__ import annotations

from functools import partial

from benchmarks.cells import load_pictures
from benchmarks.machine import Machine
from benchmarks.options import FilterOptions
from benchmarks.record import FilterResult
from benchmarks.timing import pin_to_one_core, time_repeats
from wbc.images import decode
from wbc.preprocessing.enhance import UNCALIBRATED, VARIANTS, enhance
from wbc.preprocessing.framing import Framing, frame

SIZE = 224


def measure_filters(options: FilterOptions, machine: Machine) -> FilterResult:
    """Time every variant on framed images of 224x224 pixels, on one core."""
    repeats = 5 if options.quick else 300
    files, source = load_pictures(options.images, 32)
    framed = [frame(decode(file), SIZE, Framing())[0] for file in files]
    with pin_to_one_core():
        variants = {
            variant: time_repeats(partial(enhance, variant=variant, macenko=UNCALIBRATED), framed, repeats)
            for variant in VARIANTS
        }
    return FilterResult(
        command="wbc bench preprocessing",
        quick=options.quick,
        machine=machine,
        images=source,
        size=SIZE,
        variants=variants,
    )
