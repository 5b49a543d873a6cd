"""All checks of the class activation maps of a bundle, as one JSON document."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from evaluation.saliency import drawn_masks
from evaluation.saliency.agreement import measure_agreement
from evaluation.saliency.curves import measure_curves
from evaluation.saliency.off_cell import measure_focus
from evaluation.saliency.randomisation import closed_form_maps, measure_randomisation
from evaluation.saliency.sample import Sample, classify, draw, load_without_tta
from evaluation.saliency.swaps import swap_backgrounds
from wbc.analyzer import Analyzer
from wbc.atomic import replaced_atomically
from wbc.data.dataset import VAL, domains, split_names
from wbc.errors import DataError
from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved model
from wbc.saliency.gradcam import GradCam

MASKED = "TestB-tecom"
"""Split with hand-drawn masks."""

REQUIRED = ("agreement", "randomisation")
"""Checks without which the maps are meaningless; the others are findings."""

PACKAGES = ("wbc", "keras", "tensorflow", "onnxruntime-gpu", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """Configuration of the checks.

    Expensive checks use a part of the images: curves and randomisation a fifth, background swaps two fifths.

    Attributes:
        bundle: folder of the bundle.
        data_root: folder of the splits; only `Val` decides a check.
        masks: folder of the hand-drawn masks of `MASKED`.
        images: number of images of `Val`.
        seed: seed of every draw.
    """

    bundle: Path
    data_root: Path
    masks: Path
    images: int = 200
    seed: int = 0

    def part(self, fifths: int) -> int:
        """Return the number of images of a check that uses so many fifths."""
        return max(5, self.images * fifths // 5)


def check(config: CheckConfig, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Run every check; `say` receives the name of each before it runs.

    Raises:
        BundleError: the bundle cannot be used or has no Keras model.
        DataError: there is no `Val` split, or a mask does not fit its picture.
    """
    analyzer, seed = load_without_tta(config.bundle), config.seed
    bundle = analyzer.bundle
    run = _Timer(say)
    say("drawing images")
    val = draw(analyzer, config.data_root, _find_val(config.data_root), config.images)
    few, part = val.first(config.part(1)), val.first(config.part(2))
    trained = keras.saving.load_model(bundle.keras_path, compile=False)

    def classify_inputs(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        return classify(analyzer, images)

    def classify_framed(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        return classify(analyzer, np.stack([analyzer.pipeline.preprocessor.normalise(one) for one in pictures]))

    results: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "bundle": {"name": bundle.manifest.name, "version": bundle.manifest.version, "sha256": bundle.sha256},
        "versions": {name: version(name) for name in PACKAGES},
        "seed": seed,
        "images": {"split": val.split, "count": len(val), "accuracy": float((val.predicted == val.labels).mean())},
        "intervals": "95%: bootstrap over images for means, Wilson for shares",
        "agreement": run("agreement", measure_agreement, val.images, val.outputs.cam, GradCam(trained).maps),
        "randomisation": run(
            "randomisation",
            measure_randomisation,
            trained,
            few.images,
            few.predicted,
            closed_form_maps(trained),
            seed=seed,
        ),
        "curves": run("curves", measure_curves, few, classify_inputs, seed=seed),
        "off_cell": run("off_cell", _measure_focus, analyzer, val, config),
        "drawn_masks": None,
        "foreground": None,
    }
    swapped = [(part, list(part.foregrounds))]
    if (masked := _draw_masked(analyzer, config)) is not None:
        sample, drawn = masked
        results["drawn_masks"] = run("drawn_masks", drawn_masks.measure_energy, sample, drawn, seed=seed)
        results["foreground"] = drawn_masks.measure_foreground(drawn, seed=seed)
        part = sample.first(config.part(2))
        swapped.append((part, [one.framed for one in drawn[: len(part)]]))
    results["background_swaps"] = run(
        "background_swaps",
        lambda: [swap_backgrounds(sample, cells, classify_framed, seed=seed) for sample, cells in swapped],
    )
    results["wall_time_s"] = run.seconds
    return results


def failures(results: dict[str, Any]) -> list[str]:
    """Return the names of the required checks that failed."""
    return [name for name in REQUIRED if not results[name]["passed"]]


def write(results: dict[str, Any], path: Path) -> None:
    """Write the results as JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_atomically(path) as new:
        new.write_bytes(to_json(results, indent=2) + b"\n")


def read(path: Path) -> dict[str, Any]:
    """Read results as plain numbers, lists and mappings."""
    results: dict[str, Any] = json.loads(path.read_text())
    return results


class _Timer:
    """Runs checks and records their wall time in seconds."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
        self.say(name)
        start = time.perf_counter()
        result = work(*args, **keywords)
        self.seconds[name] = round(time.perf_counter() - start, 1)
        return result


def _find_val(root: Path) -> str:
    for name in split_names(root):
        if name.lower() == VAL.lower():
            return name
    raise DataError(f"no split {VAL!r} in {root}: the checks need it")


def _measure_focus(analyzer: Analyzer, val: Sample, config: CheckConfig) -> dict[str, Any]:
    """Measure three times as many images of `Val`, because its tail decides, and half as many of each test split."""
    least = analyzer.bundle.manifest.review.min_focus_lift
    counts = {val.split: 3 * config.images} | dict.fromkeys(domains(config.data_root), max(5, config.images // 2))
    samples = (draw(analyzer, config.data_root, name, count) for name, count in counts.items())
    return {"min_focus_lift": least, "splits": [measure_focus(one, least, seed=config.seed) for one in samples]}


def _draw_masked(analyzer: Analyzer, config: CheckConfig) -> tuple[Sample, list[drawn_masks.Drawn]] | None:
    """Return the images with hand-drawn masks; None without them."""
    if MASKED not in split_names(config.data_root) or not config.masks.is_dir():
        return None
    sample = draw(analyzer, config.data_root, MASKED, 3 * config.images // 2)
    masks = [config.masks / f"{path.stem}.png" for path in sample.paths]
    preprocessor = analyzer.pipeline.preprocessor
    return sample, [
        drawn_masks.read_drawn(path, mask, preprocessor) for path, mask in zip(sample.paths, masks, strict=True)
    ]
