"""All checks of the class activation maps on one bundle, as one JSON document."""

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
from pydantic import BaseModel

from evaluation.saliency import drawn_masks
from evaluation.saliency.agreement import agreement
from evaluation.saliency.curves import curves
from evaluation.saliency.off_cell import off_cell
from evaluation.saliency.randomisation import closed_form_maps, randomisation
from evaluation.saliency.sample import Model, Sample, draw
from evaluation.saliency.swaps import background_swaps
from wbc.data.dataset import VAL, domains, split_names
from wbc.errors import DataError
from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved model
from wbc.saliency.gradcam import GradCam

MASKED = "TestB-tecom"
"""The split whose cells were drawn by hand."""

REQUIRED = ("agreement", "randomisation")
"""Checks without which the maps mean nothing; the others are findings, good or bad."""

PACKAGES = ("wbc", "keras", "tensorflow", "onnxruntime-gpu", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """What is checked, on what.

    The costly checks take a part of the images: curves and randomisation a fifth, swaps two fifths.

    Attributes:
        bundle: folder of the model bundle.
        data_root: folder of the splits; `Val` is what everything is judged on, `Test*` is only reported.
        masks: folder of the hand-drawn masks of `MASKED`.
        images: images of `Val`.
        seed: of every draw.
        threads: of the ONNX graph; 0 takes the CPU quota.
    """

    bundle: Path
    data_root: Path
    masks: Path
    images: int = 200
    seed: int = 0
    threads: int = 0

    def part(self, fifths: int) -> int:
        """Images of a check that takes so many fifths."""
        return max(5, self.images * fifths // 5)


def check(config: CheckConfig, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Run every check; `say` is told which one begins.

    Raises:
        BundleError: the bundle cannot be used, or holds no Keras model.
        DataError: there is no `Val` split, or the masks do not fit their pictures.
    """
    model = Model.load(config.bundle, config.threads)
    manifest = model.bundle.manifest
    runs = _Timed(say)
    say("drawing images")
    val = draw(model, config.data_root, _val(config.data_root), config.images)
    trained = keras.saving.load_model(model.bundle.keras_path, compile=False)
    results: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "bundle": {"name": manifest.name, "version": manifest.version, "sha256": model.bundle.sha256},
        "versions": {name: version(name) for name in PACKAGES},
        "seed": config.seed,
        "images": {"split": val.split, "count": len(val), "accuracy": float((val.predicted == val.labels).mean())},
        "intervals": "95%: bootstrap over images for means, Wilson for shares",
    }
    results["agreement"] = runs("agreement", lambda: agreement(val.images, val.outputs.cam, GradCam(trained).maps))
    few = val.first(config.part(1))
    results["randomisation"] = runs(
        "randomisation",
        lambda: randomisation(trained, few.images, few.predicted, closed_form_maps(trained), seed=config.seed),
    )
    results["curves"] = runs(
        "curves",
        lambda: curves(
            few.images, few.heats, few.predicted, model.probabilities, grid=model.classifier.grid, seed=config.seed
        ),
    )
    results["off_cell"] = runs("off_cell", lambda: _off_cell(model, val, config))
    part = val.first(config.part(2))
    swapped = [(part, list(part.foregrounds))]
    results["drawn_masks"] = results["foreground"] = None
    if (masked := _masked(model, config)) is not None:
        sample, drawn = masked
        results["drawn_masks"] = runs("drawn_masks", lambda: drawn_masks.energy(sample, drawn, seed=config.seed))
        results["foreground"] = drawn_masks.foreground_quality(drawn, seed=config.seed)
        part = sample.first(config.part(2))
        swapped.append((part, [d.framed for d in drawn[: len(part)]]))

    def classify(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        return model.probabilities(np.stack([model.preprocessor.normalise(picture) for picture in pictures]))

    results["background_swaps"] = runs(
        "background_swaps",
        lambda: [background_swaps(sample, cells, classify, seed=config.seed) for sample, cells in swapped],
    )
    results["wall_time_s"] = runs.seconds
    return results


def failures(results: dict[str, Any]) -> list[str]:
    """Names of the required checks that did not pass."""
    return [name for name in REQUIRED if not results[name]["passed"]]


def write(results: dict[str, Any], path: Path) -> None:
    """Write the results as JSON, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"new.{path.name}")
    new.write_text(json.dumps(results, indent=2, ensure_ascii=False, default=_plain) + "\n")
    new.replace(path)


def read(path: Path) -> dict[str, Any]:
    """The results in a file, as plain numbers, lists and mappings."""
    results: dict[str, Any] = json.loads(path.read_text())
    return results


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError(f"{type(value).__name__} has no place in the results")


class _Timed:
    """Runs a check and keeps its wall time."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        self.say(name)
        start = time.perf_counter()
        result = work()
        self.seconds[name] = round(time.perf_counter() - start, 1)
        return result


def _val(root: Path) -> str:
    for name in split_names(root):
        if name.lower() == VAL.lower():
            return name
    raise DataError(f"no split {VAL!r} in {root}: the checks are judged on it")


def _off_cell(model: Model, val: Sample, config: CheckConfig) -> dict[str, Any]:
    """`Val` at three times the size, for its tail decides, and each test domain at half."""
    least = model.bundle.manifest.review.min_focus_lift
    counts = {val.split: 3 * config.images} | dict.fromkeys(domains(config.data_root), max(5, config.images // 2))
    splits = [
        off_cell(draw(model, config.data_root, name, count), least, seed=config.seed) for name, count in counts.items()
    ]
    return {"min_focus_lift": least, "splits": splits}


def _masked(model: Model, config: CheckConfig) -> tuple[Sample, list[drawn_masks.Drawn]] | None:
    """The pictures with hand-drawn masks; None where they are not at hand."""
    if MASKED not in split_names(config.data_root) or not config.masks.is_dir():
        return None
    sample = draw(model, config.data_root, MASKED, 3 * config.images // 2)
    return sample, [drawn_masks.read_drawn(p, config.masks / f"{p.stem}.png", model) for p in sample.paths]
