"""What each step of the adaptation changes, and what it costs: the same files answered with and without it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from evaluation.answers import Answers
from evaluation.asking import Classifier, Entrant, answer
from evaluation.config import EvaluationConfig
from evaluation.metrics import measure
from evaluation.model import Model, load_model
from evaluation.results import AblationRow, HeldOutChoice, Tier
from wbc.adaptation.prior import estimate_prior, reweigh
from wbc.adaptation.tta import Mode
from wbc.data.dataset import VAL, Split, cores, read_split, split_names
from wbc.errors import InputError
from wbc.images import decode
from wbc.inference import Outputs
from wbc.labels import CLASSES
from wbc.preprocessing.enhance import Variant
from wbc.preprocessing.foreground import find_foreground

OFF: Mapping[str, Any] = {"mode": "off"}
CELL: Mapping[str, Any] = {"mode": "cell"}

PRIOR = "framing + prior correction (EM)"


@dataclass(frozen=True, slots=True)
class Step:
    """One way of answering.

    Attributes:
        name: of its row.
        tta: views.
        tier: what it knows beside the image; see `AblationRow`.
        prior: whether the batch's mixture of classes is estimated and corrected for.
    """

    name: str
    tta: Mode = "none"
    tier: Tier = "image"
    prior: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Steps with the same preprocessing: their files are prepared once and their views run once."""

    settings: Mapping[str, Any]
    steps: tuple[Step, ...]
    device_factor: bool = False


@dataclass
class Timed:
    """A forward pass that keeps count of its time."""

    inner: Classifier
    seconds: float = 0.0
    views: int = 0

    def __call__(self, views: NDArray[np.uint8]) -> Outputs:
        start = time.perf_counter()
        outputs = self.inner(views)
        self.seconds, self.views = self.seconds + time.perf_counter() - start, self.views + len(views)
        return outputs

    @property
    def ms_a_view(self) -> float:
        """Mean wall time of one view."""
        return 1e3 * self.seconds / max(self.views, 1)


def groups(variant: Variant) -> tuple[Group, ...]:
    """All that is compared, for a model that was trained with a variant of the filter."""
    framed: dict[str, Any] = {"color_normalization": "none", "framing": CELL}
    others = [name for name in get_args(Variant) if name != variant]
    return (
        Group({"color_normalization": "none", "framing": OFF}, (Step("nothing"),)),
        Group({"color_normalization": "reinhard", "framing": OFF}, (Step("Reinhard"),)),
        Group(
            framed,
            (
                Step("framing"),
                Step("framing + light TTA", "light"),
                Step("framing + auto TTA", "auto"),
                Step(PRIOR, tier="batch", prior=True),
            ),
        ),
        Group(framed, (Step("framing, one factor a device", tier="device"),), device_factor=True),
        Group(
            {"color_normalization": "reinhard", "framing": CELL},
            (Step("framing + Reinhard"), Step("framing + Reinhard + light TTA", "light")),
        ),
        *(Group({**framed, "variant": name}, (Step(f"framing, filter {name}"),)) for name in others),
    )


@dataclass(frozen=True)
class Ablation:
    """Runs every group on one set of images after another.

    Attributes:
        model: what is measured.
        source_prior: (5,) shares of the classes where the probabilities are calibrated.
        batch_size: views in one forward pass.
        workers: threads that decode and prepare.
        seed: of the bootstrap.
        compared: the groups; by default all that suit the model.
    """

    model: Model
    source_prior: NDArray[np.float64]
    batch_size: int = 32
    workers: int = 0
    seed: int = 0
    compared: tuple[Group, ...] = field(default=())

    def run(self, split: Split) -> list[AblationRow]:
        """A row a step for one set of images."""
        spec = self.model.bundle.manifest.preprocessing
        rows = []
        for group in self.compared or groups(spec.variant):
            settings = dict(group.settings)
            if group.device_factor:
                settings["framing"] = {**CELL, **self._device_zoom(split)}
            rows += self._answered(group, settings, split)
        return rows

    def _answered(self, group: Group, settings: Mapping[str, Any], split: Split) -> list[AblationRow]:
        timed = Timed(self.model.classifier)
        entrants = {s.name: Entrant(self.model.configured(tta=s.tta, **settings).pipeline) for s in group.steps}
        found = answer(entrants, timed, split, batch_size=self.batch_size, workers=self.workers)
        rows = []
        for step in group.steps:
            answers = corrected(found[step.name], self.source_prior) if step.prior else found[step.name]
            rows.append(ablation_row(step, split.name, answers, timed.ms_a_view, seed=self.seed))
        return rows

    def _device_zoom(self, split: Split) -> dict[str, float]:
        """One magnification for all images of a device, from its median nucleus; limits as for single images."""
        framing = self.model.bundle.manifest.preprocessing.framing

        def diameter(path: Path) -> float:
            try:
                found = find_foreground(decode(path.read_bytes()))
            except (InputError, OSError):
                return np.nan
            if not found.valid or found.touches_border:
                return np.nan
            return float(found.nucleus_diameter / max(found.nucleus.shape))

        with ThreadPoolExecutor(cores(self.workers)) as pool:
            diameters = np.array(list(pool.map(diameter, split.paths)))
        usual = np.nanmedian(diameters) if np.isfinite(diameters).any() else framing.canonical
        zoom = float(np.clip(framing.canonical / usual, framing.min_zoom, framing.max_zoom))
        return {"min_zoom": zoom, "max_zoom": zoom}


def corrected(answers: Answers, source_prior: NDArray[np.float64]) -> Answers:
    """The answers after the mixture of classes was estimated from all of them together, without labels."""
    target = estimate_prior(answers.probabilities, source_prior)
    return replace(answers, probabilities=reweigh(answers.probabilities, source_prior, target))


def ablation_row(step: Step, domain: str, answers: Answers, ms_a_view: float, *, seed: int) -> AblationRow:
    """The row of one step."""
    metrics = measure(answers.labels, answers.probabilities, seed=seed)
    views = float(answers.views.mean())
    return AblationRow(
        step=step.name,
        tier=step.tier,
        domain=domain,
        images=metrics.images,
        accuracy=metrics.accuracy,
        balanced_accuracy=metrics.present.balanced_accuracy,
        macro_f1=metrics.present.macro_f1,
        kappa=metrics.kappa,
        views=views,
        cost_ms=float(np.median(answers.prepare_ms)) + views * ms_a_view,
    )


def ablate(config: EvaluationConfig, names: Sequence[str], say: Callable[[str], None]) -> list[AblationRow]:
    """Every step on every set of images, and on `Val` those that are chosen there.

    The bundle's own settings are the starting point, not those that were asked for.
    """
    model, limit = load_model(config.model_path), config.ablation_limit or config.limit
    val_names = [name for name in split_names(config.data_root) if name.lower() == VAL.lower()]
    prior = source_prior(model, read_split(config.data_root, val_names[0]) if val_names else None)
    study = Ablation(model, prior, config.batch_size, config.workers, config.seed)
    # The views and the prior are judged on `Val`; a filter or a frame that the model was not trained with is not.
    on_val = tuple(group for group in groups("none") if {"nothing", "framing"} & {step.name for step in group.steps})
    rows: list[AblationRow] = []
    for name in dict.fromkeys([*val_names, *names]):
        say(f"{name}: ablation")
        compared = on_val if name in val_names else ()
        rows += replace(study, compared=compared).run(read_split(config.data_root, name, limit))
    return rows


def held_out_choices(rows: Sequence[AblationRow]) -> tuple[HeldOutChoice, ...]:
    """For each foreign device the step that the other foreign devices would have chosen, and what it scores there.

    Steps that know the image alone compete; the mean balanced accuracy over the other devices decides. With fewer than
    two foreign devices there is nothing to choose by.
    """
    foreign = [name for name in dict.fromkeys(row.domain for row in rows) if name.lower().startswith("testb")]
    if len(foreign) < 2:
        return ()
    score = {(r.domain, r.step): r.balanced_accuracy.value for r in rows if r.tier == "image"}
    steps = list(dict.fromkeys(r.step for r in rows if r.tier == "image"))
    choices = []
    for held in foreign:
        others = [name for name in foreign if name != held]
        chosen = max(steps, key=lambda step: sum(score[name, step] for name in others))
        best = max(steps, key=lambda step: score[held, step])
        choices.append(
            HeldOutChoice(
                device=held,
                chosen=chosen,
                balanced_accuracy=score[held, chosen],
                nothing=score[held, "nothing"],
                best=best,
                best_balanced_accuracy=score[held, best],
            )
        )
    return tuple(choices)


def source_prior(model: Model, val: Split | None) -> NDArray[np.float64]:
    """Shares of the classes where the probabilities are calibrated: the manifest's, or those of `Val`, or even ones."""
    stored = model.bundle.manifest.label_prior
    if stored is not None:
        return np.array(stored)
    if val is not None and (val.counts > 0).all():
        return np.asarray(val.counts / val.counts.sum())
    return np.full(len(CLASSES), 1.0 / len(CLASSES))
