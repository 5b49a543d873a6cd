"""Ablation: scores and cost of each step of the adaptation on the same images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from evaluation.config import EvaluationConfig
from evaluation.metrics import measure
from evaluation.model import configure
from evaluation.predictions import Configuration, Predictions, predict
from evaluation.results import AblationRow, HeldOutChoice, Tier
from wbc.adaptation.prior import estimate_prior, reweigh
from wbc.adaptation.tta import Mode
from wbc.analyzer import Analyzer, Classifier
from wbc.data.dataset import VAL, Split, cores, read_split, split_names
from wbc.errors import InputError
from wbc.images import decode
from wbc.inference import Outputs
from wbc.labels import CLASSES
from wbc.preprocessing.enhance import Variant
from wbc.preprocessing.foreground import find_foreground

OFF: Mapping[str, Any] = {"color_normalization": "none", "framing": {"mode": "off"}}
FRAMED: Mapping[str, Any] = {"color_normalization": "none", "framing": {"mode": "cell"}}
REINHARD: Mapping[str, Any] = {"color_normalization": "reinhard"}

BASELINE = "nothing"
PRIOR = "framing + prior correction (EM)"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the adaptation.

    Attributes:
        name: name of the row.
        settings: changes to the preprocessing; see `model.configure`.
        tta: test-time augmentation.
        tier: information used besides the image; see `AblationRow`.
        prior: estimate the class shares of the batch and correct for them.
        device_zoom: frame all images of a device with one magnification.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=lambda: FRAMED)
    tta: Mode = "none"
    tier: Tier = "image"
    prior: bool = False
    device_zoom: bool = False


class TimedClassifier:
    """A forward pass that measures its time per view."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.seconds = 0.0
        self.views = 0

    def __call__(self, views: NDArray[np.uint8]) -> Outputs:
        start = time.perf_counter()
        outputs = self.classifier(views)
        self.seconds += time.perf_counter() - start
        self.views += len(views)
        return outputs

    @property
    def ms_per_view(self) -> float:
        """Mean wall time per view, in milliseconds."""
        return 1e3 * self.seconds / max(self.views, 1)


ON_VAL = (
    Step(BASELINE, OFF),
    Step("framing"),
    Step("framing + light TTA", tta="light"),
    Step("framing + auto TTA", tta="auto"),
    Step(PRIOR, tier="batch", prior=True),
)
"""Steps that are judged on `Val`; a filter or a frame that the model was not trained with is not."""


def list_steps(variant: Variant) -> tuple[Step, ...]:
    """Return all steps for a model that was trained with a variant of the filter."""
    return (
        ON_VAL[0],
        Step("Reinhard", {**OFF, **REINHARD}),
        *ON_VAL[1:],
        Step("framing, one factor per device", tier="device", device_zoom=True),
        Step("framing + Reinhard", {**FRAMED, **REINHARD}),
        Step("framing + Reinhard + light TTA", {**FRAMED, **REINHARD}, tta="light"),
        *(
            Step(f"framing, filter {name}", {**FRAMED, "variant": name})
            for name in get_args(Variant)
            if name != variant
        ),
    )


def run_ablation(
    config: EvaluationConfig, analyzer: Analyzer, names: Sequence[str], say: Callable[[str], None]
) -> list[AblationRow]:
    """Measure every step on the named splits, and those of `ON_VAL` on `Val`, for an analyzer with its own settings."""
    val_names = [name for name in split_names(config.data_root) if name.lower() == VAL.lower()]
    prior = source_prior(analyzer, read_split(config.data_root, val_names[0]) if val_names else None)
    every = list_steps(analyzer.bundle.manifest.preprocessing.variant)
    rows: list[AblationRow] = []
    for name in dict.fromkeys([*val_names, *names]):
        say(f"{name}: ablation")
        split = read_split(config.data_root, name, config.ablation_limit or config.limit)
        rows += measure_steps(ON_VAL if name in val_names else every, analyzer, split, prior, config)
    return rows


def measure_steps(
    steps: Sequence[Step], analyzer: Analyzer, split: Split, prior: NDArray[np.float64], config: EvaluationConfig
) -> list[AblationRow]:
    """Measure steps on a split; neighbours with the same preprocessing share preparation and forward pass.

    The prior (5,) has the class shares where the probabilities are calibrated.
    """
    rows = []
    for (settings, device_zoom), neighbours in groupby(steps, lambda step: (step.settings, step.device_zoom)):
        group = list(neighbours)
        changes = dict(settings)
        if device_zoom:
            changes["framing"] = {**settings["framing"], **_zoom_of_device(analyzer, split, config.workers)}
        timed = TimedClassifier(analyzer.classifier)
        own = Analyzer(analyzer.bundle, timed)
        configurations = {step.name: Configuration(configure(own, tta=step.tta, **changes).pipeline) for step in group}
        found = predict(own, split, configurations, **config.batching)
        for step in group:
            predictions = correct_prior(found[step.name], prior) if step.prior else found[step.name]
            rows.append(_score(step, predictions, timed.ms_per_view, config.seed))
    return rows


def _score(step: Step, predictions: Predictions, ms_per_view: float, seed: int) -> AblationRow:
    metrics = measure(predictions.labels, predictions.probabilities, seed=seed)
    views = float(predictions.views.mean())
    return AblationRow(
        step=step.name,
        tier=step.tier,
        domain=predictions.split.name,
        images=metrics.images,
        accuracy=metrics.accuracy,
        balanced_accuracy=metrics.present.balanced_accuracy,
        macro_f1=metrics.present.macro_f1,
        kappa=metrics.kappa,
        views=views,
        cost_ms=float(np.median(predictions.prepare_ms)) + views * ms_per_view,
    )


def _zoom_of_device(analyzer: Analyzer, split: Split, workers: int) -> dict[str, float]:
    """Return one magnification for all images of a device, from its median nucleus, within the usual limits."""
    framing = analyzer.bundle.manifest.preprocessing.framing

    def diameter(path: Path) -> float:
        try:
            found = find_foreground(decode(path.read_bytes()))
        except (InputError, OSError):
            return np.nan
        if not found.valid or found.touches_border:
            return np.nan
        return float(found.nucleus_diameter / max(found.nucleus.shape))

    with ThreadPoolExecutor(cores(workers)) as pool:
        diameters = np.array(list(pool.map(diameter, split.paths)))
    usual = np.nanmedian(diameters) if np.isfinite(diameters).any() else framing.canonical
    zoom = float(np.clip(framing.canonical / usual, framing.min_zoom, framing.max_zoom))
    return {"min_zoom": zoom, "max_zoom": zoom}


def correct_prior(predictions: Predictions, prior: NDArray[np.float64]) -> Predictions:
    """Correct predictions for the class shares of the batch, estimated from all of them without labels."""
    target = estimate_prior(predictions.probabilities, prior)
    return replace(predictions, probabilities=reweigh(predictions.probabilities, prior, target))


def held_out_choices(rows: Sequence[AblationRow]) -> tuple[HeldOutChoice, ...]:
    """Choose a step for each foreign device by the mean balanced accuracy on the other foreign devices.

    Only steps that use nothing besides the image compete. Empty with fewer than two foreign devices.
    """
    score = {(row.domain, row.step): row.balanced_accuracy.value for row in rows if row.tier == "image"}
    foreign = [name for name in dict.fromkeys(row.domain for row in rows) if name.lower().startswith("testb")]
    steps = list(dict.fromkeys(step for _, step in score))
    choices = []
    for held in foreign if len(foreign) > 1 else []:
        others = [name for name in foreign if name != held]
        chosen = max(steps, key=lambda step: sum(score[name, step] for name in others))
        best = max(steps, key=lambda step: score[held, step])
        choices.append(
            HeldOutChoice(
                device=held,
                chosen=chosen,
                balanced_accuracy=score[held, chosen],
                nothing=score[held, BASELINE],
                best=best,
                best_balanced_accuracy=score[held, best],
            )
        )
    return tuple(choices)


def source_prior(analyzer: Analyzer, val: Split | None) -> NDArray[np.float64]:
    """Return the class shares where the probabilities are calibrated: the manifest's, those of `Val`, or equal ones."""
    stored = analyzer.bundle.manifest.label_prior
    if stored is not None:
        return np.array(stored)
    if val is not None and (val.counts > 0).all():
        return np.asarray(val.counts / val.counts.sum())
    return np.full(len(CLASSES), 1.0 / len(CLASSES))
