"""Corrections for a device that was not trained on, fitted on runs that each left one source out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from training.batches import MAIN
from training.scores import scores
from wbc.adaptation import tta
from wbc.adaptation.calibration import bin_by_confidence, probabilities
from wbc.adaptation.cell_size import DIRECTION, CellSize
from wbc.adaptation.review import ACCEPTED_ERROR, fit_min_confidence
from wbc.data.cache import ImageCache
from wbc.data.dataset import cores, prepare_all, read_split
from wbc.errors import InvalidParameter
from wbc.labels import CLASSES
from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved models
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor
from wbc.run_record import TrainingRecord

ENOUGH = 10
"""Images of a class from which it counts."""

PENALTY = 0.02
"""On the squared offset of the cell's size: which of both classes is more frequent differs by device."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Logits (N, 5) of a run for the images (N,) of a source that it was not trained on.

    `diameters`, (N,), are those of the cells in red cells, NaN where not known.
    """

    run: str
    source: str
    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    diameters: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Correction:
    """Correction of a run's logits on a device on which it was not trained.

    Attributes:
        temperature: divides the logits.
        cell_size: shift of the logits before that.
    """

    temperature: float
    cell_size: CellSize

    def __call__(self, part: LeftOut) -> NDArray[np.float64]:
        """Return the corrected logits, (N, 5)."""
        return (part.logits + self.cell_size.shift(part.diameters)) / self.temperature


def score_left_out(run: Path, source: str, data_root: Path, cache: ImageCache, mode: tta.Mode = "none") -> LeftOut:
    """Predict a source with a run that left it out; mode `light` averages eight views.

    Raises:
        InvalidParameter: the run was trained on that source.
    """
    record = TrainingRecord.model_validate_json((run / "training.json").read_bytes())
    if source in record.config["source"]:
        raise InvalidParameter(f"{run} was trained on {source}; a run that left it out is needed")
    split = read_split(data_root, source)
    images = prepare_all(split, Preprocessor(record.preprocessing), record.preprocessing.size, cache=cache)
    model = keras.saving.load_model(run / "model.keras", compile=False)
    views = np.stack([tta.views(image, mode) for image in images])
    logits = model.predict(views.reshape(-1, *views.shape[2:]), batch_size=64, verbose=0)[MAIN]
    logits = np.asarray(logits, np.float64).reshape(len(images), -1, len(CLASSES)).mean(axis=1)
    return LeftOut(
        run.name, source, logits, split.labels, _diameters(data_root, source, record.preprocessing.white_balance, cache)
    )


@cache
def _diameters(data_root: Path, source: str, white_balance: bool, cache: ImageCache) -> NDArray[np.float64]:
    """Measure the cells of a source once for all runs that left it out; the window and the filter do not matter."""
    preprocessor = Preprocessor(Preprocessing(white_balance=white_balance), ruler=True)
    with ThreadPoolExecutor(cores(0)) as pool:
        paths = read_split(data_root, source).paths
        return np.array(list(pool.map(lambda path: preprocessor(cache.decoded(path)).diameter_in_red_cells, paths)))


def fit_correction(parts: Sequence[LeftOut]) -> Correction:
    """Fit the correction of least cross-entropy; sources weigh alike, and so do the classes of each.

    Class biases are not fitted: on the sources left out they lost more than they gained (docs/decisions/0006).
    """
    logits = np.concatenate([part.logits for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    diameters = np.concatenate([part.diameters for part in parts])
    size = np.stack([CellSize.log_diameter(diameters), ~np.isnan(diameters)], axis=1).astype(np.float64)
    share = {source: sum(part.source == source for part in parts) for source in {part.source for part in parts}}
    weights = np.concatenate([_weights(part.labels) / share[part.source] for part in parts]) / len(share)

    def loss(values: NDArray[np.float64]) -> float:
        scaled = logits / np.exp(values[0]) + (size @ values[1:])[:, None] * DIRECTION
        chosen = scaled[np.arange(len(labels)), labels]
        return float(weights @ (logsumexp(scaled, axis=1) - chosen) + PENALTY * values[2] ** 2)

    found = minimize(loss, np.zeros(3), method="L-BFGS-B", bounds=[(None, None), (0, None), (None, None)]).x
    temperature = float(np.exp(found[0]))
    slope, offset = temperature * found[1:]
    return Correction(round(temperature, 5), CellSize(slope=round(slope, 5), offset=round(offset, 5)))


def _counting(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Classes with `ENOUGH` images, (5,); all that are present where none has as many."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    return counts >= ENOUGH if (counts >= ENOUGH).any() else counts > 0


def _weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    counts = np.bincount(labels, minlength=len(CLASSES))
    weights = np.where(_counting(labels), 1.0 / np.maximum(counts, 1), 0.0)[labels]
    return np.asarray(weights / weights.sum())


def score_parts(parts: Sequence[LeftOut], fitted: Sequence[LeftOut]) -> list[dict[str, Any]]:
    """Scores of each left-out source, as predicted and with the correction of the other sources.

    Args:
        parts: what is scored.
        fitted: what the correction is fitted on; none of the same source is used for a part.
    """
    rows = []
    for part in parts:
        row = {"run": part.run, "source": part.source, "images": len(part.labels)} | _scores(part.logits, part.labels)
        if others := [other for other in fitted if other.source != part.source]:
            row["cross_fitted"] = _scores(fit_correction(others)(part), part.labels)
        rows.append(row)
    return rows


def _scores(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Scores over the classes that count, recall of each, calibration error, and the answers that can be trusted."""
    enough = _counting(labels)
    kept = enough[labels]
    confident = probabilities(logits)
    confidence, correct = confident.max(axis=1), confident.argmax(axis=1) == labels
    limit = fit_min_confidence(confidence, correct, ACCEPTED_ERROR)
    return {
        **{name: round(value, 4) for name, value in scores(logits[kept], labels[kept]).items()},
        "recall": {
            name: round(float(correct[labels == number].mean()), 4)
            for number, name in enumerate(CLASSES)
            if enough[number]
        },
        "calibration_error": round(bin_by_confidence(confidence, correct).error, 4),
        "min_confidence": limit,
        "unflagged": round(float((confidence >= limit).mean()), 4),
    }


def compare_left_out(
    pairs: Sequence[tuple[Path, str]], data_root: Path, cache: ImageCache, mode: tta.Mode = "none"
) -> dict[str, Any]:
    """Scores of runs, each on a source that it was not trained on, for a comparison of recipes.

    Args:
        pairs: results folders of runs with a source each.
        data_root: folder of the splits.
        cache: of decoded and prepared images.
        mode: views that are averaged.
    """
    parts = [score_left_out(run, source, data_root, cache, mode) for run, source in pairs]
    return {"views": len(tta.LIGHT_VIEWS) if mode == "light" else 1, "runs": score_parts(parts, [])}


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over the runs of each source of the balanced accuracy."""
    found: dict[str, dict[str, float]] = {}
    for source in dict.fromkeys(row["source"] for row in rows):
        mine = [row for row in rows if row["source"] == source]
        found[source] = {"runs": len(mine)}
        for name, values in (
            ("balanced_accuracy", [row["val_balanced_accuracy"] for row in mine]),
            ("cross_fitted", [row["cross_fitted"]["val_balanced_accuracy"] for row in mine if "cross_fitted" in row]),
        ):
            if values:
                found[source] |= {f"{name}_mean": round(float(np.mean(values)), 4)}
                found[source] |= {f"{name}_sd": round(float(np.std(values, ddof=min(1, len(values) - 1))), 4)}
    return found


def cross_fit(run: Path, left_out: Sequence[tuple[Path, str]], output: Path, data_root: Path) -> dict[str, Any]:
    """Fit the correction for other devices on the sources that other runs left out, and keep it with a run.

    Writes `output` as a run of its own: the model of `run`, and `training.json`, whose `left_out` holds the correction
    and all scores.

    Args:
        run: results folder of the run on all sources.
        left_out: results folders of runs of the same recipe, of one or several seeds, each with a source on which it
            was not trained.
        output: folder for the new run.
        data_root: folder of the splits.

    Returns:
        What `left_out` holds.

    Raises:
        InvalidParameter: a run in the output folder, or a run that was trained on the source it is paired with.
    """
    if (output / "training.json").is_file():
        raise InvalidParameter(f"{output} holds a run already; name another folder")
    record = TrainingRecord.model_validate_json((run / "training.json").read_bytes())
    cache = ImageCache(Path(record.config["cache_dir"]) if record.config.get("cache_dir") else None)
    parts = [score_left_out(path, source, data_root, cache) for path, source in left_out]
    correction = fit_correction(parts)
    rows = score_parts(parts, parts)
    found = {
        "temperature": correction.temperature,
        "cell_size": correction.cell_size.model_dump(),
        "sources": rows,
        "summary": summarise(rows),
    }
    output.mkdir(parents=True, exist_ok=True)
    for name in ("model.keras", "config.yaml", "history.csv"):
        if (run / name).is_file():  # an averaged run has no history
            shutil.copyfile(run / name, output / name)
    corrected = record.model_copy(update={"left_out": found})
    (output / "training.json").write_text(corrected.model_dump_json(indent=2) + "\n")
    (output / "left_out.json").write_text(json.dumps(found, indent=2) + "\n")
    return found
