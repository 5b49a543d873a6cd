"""`wbc evaluate`: what the product answers for labelled images, and what that is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from training import plots
from training.dataset import VAL, domains, read_split, split_names
from training.evaluation.ablation import Ablation, held_out_choices, source_prior
from training.evaluation.answers import Answers, joined
from training.evaluation.asking import Entrant, answer
from training.evaluation.files import write_domain
from training.evaluation.model import Model, load_model
from training.evaluation.report import Page
from training.evaluation.results import (
    EVALUATION,
    AblationRow,
    DomainResult,
    EvaluationResult,
    domain_result,
    write_json,
)
from training.evaluation.unknown import measure_rejection
from training.rejection import ACCEPTED_ERROR, Rejection, risk_coverage
from wbc.adaptation.routing import BINARY, Head, LabelSet
from wbc.adaptation.tta import Mode
from wbc.labels import CLASSES

COMBINED = "combined"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """An evaluation.

    Attributes:
        model_path: a bundle's folder, or a `.keras` file.
        data_root: folder of the splits.
        output_dir: where the files of the evaluation are written.
        splits: folders that are evaluated; empty is every `Test*` folder.
        binary_mode: `main` or `aux` adds a row to each `TestB*` domain, as if its operator had declared that
            lymphocytes and neutrophils alone occur, decided by that head.
        tta, color_normalization, preprocessing, framing: in the place of the bundle's; None is the bundle's.
        batch_size: views in one forward pass.
        limit: images a class; 0 is all.
        seed: of the bootstrap and of generated images.
        workers: threads that decode and prepare; 0 is one a core.
    """

    model_path: Path
    data_root: Path
    output_dir: Path
    splits: tuple[str, ...] = ()
    binary_mode: Literal["none", "main", "aux"] = "none"
    tta: Mode | None = None
    color_normalization: Literal["none", "reinhard"] | None = None
    preprocessing: str | None = None
    framing: Literal["cell", "off"] | None = None
    batch_size: int = 32
    limit: int = 0
    seed: int = 0
    workers: int = 0
    ablation: bool = False
    rejection: bool = True

    @property
    def adaptation(self) -> dict[str, Any]:
        """What differs from the bundle's settings, as `Model.configured` takes it."""
        framing = None if self.framing is None else {"mode": self.framing}
        return {
            "tta": self.tta,
            "variant": self.preprocessing,
            "color_normalization": self.color_normalization,
            "framing": framing,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation's numbers, and the answers they were computed from.

    Attributes:
        result: the numbers.
        answers: of each domain, `combined` among them.
        model: with the settings that it answered with.
    """

    result: EvaluationResult
    answers: dict[str, Answers]
    model: Model = field(repr=False)


def evaluate(config: EvaluationConfig, say: Say = lambda _: None) -> Evaluation:
    """Evaluate a model and write what was found.

    Raises:
        DataError: the data is not laid out as expected.
        BundleError: the model cannot be loaded.
        InvalidParameter: the settings do not fit together.
    """
    model = load_model(config.model_path).configured(**config.adaptation)
    pipeline = model.pipeline
    names = list(config.splits) or domains(config.data_root)
    found: dict[str, Answers] = {}
    declared: list[DomainResult] = []
    results: list[DomainResult] = []
    for name in names:
        split = read_split(config.data_root, name, config.limit)
        say(f"{name}: {len(split.paths)} images")
        entrants = {"five": Entrant(pipeline)}
        label_set = _declared(config, name)
        if label_set is not None:
            entrants["declared"] = Entrant(pipeline, label_set)
        answers = answer(entrants, model.classifier, split, batch_size=config.batch_size, workers=config.workers)
        found[name] = answers["five"]
        if label_set is not None:
            declared.append(_under_declaration(answers["declared"], label_set, config))
    tests = [found[name] for name in names if name.lower().startswith("test")]
    if len(tests) > 1:
        found[COMBINED] = joined(COMBINED, tests)
    for name, answers_of in found.items():
        results.append(domain_result(answers_of, config.data_root, seed=config.seed))
        write_domain(config.output_dir / name, answers_of, results[-1], config.data_root)
    curves = {name: risk_coverage(a.confidence, a.correct) for name, a in found.items()}
    plots.risk_coverage(curves, ACCEPTED_ERROR, config.output_dir / "risk_coverage.png")
    manifest = model.bundle.manifest
    rows = _ablation(config, names, say) if config.ablation else []
    result = EvaluationResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model={"name": manifest.name, "version": manifest.version, "sha256": _digest(model)},
        settings=_settings(config, model),
        domains=tuple(results),
        declared=tuple(declared),
        ablation=tuple(rows),
        held_out_choices=held_out_choices(rows),
        rejection=_rejection(config, model, found, say) if config.rejection else None,
    )
    write_json(result, config.output_dir / EVALUATION)
    apart = {name: answers_of for name, answers_of in found.items() if name != COMBINED}
    page = Page(config.output_dir, config.data_root, pipeline, model.classifier)
    page.write(result, apart)
    return Evaluation(result, found, model)


def _ablation(config: EvaluationConfig, names: Sequence[str], say: Say) -> list[AblationRow]:
    """Every step on every set of images; the bundle's own settings are the starting point, not those asked for."""
    model = load_model(config.model_path)
    validation = [name for name in split_names(config.data_root) if name.lower() == VAL.lower()]
    val = read_split(config.data_root, validation[0]) if validation else None
    study = Ablation(model, source_prior(model, val), config.batch_size, config.workers, config.seed)
    rows: list[AblationRow] = []
    for name in names:
        say(f"{name}: ablation")
        rows += study.run(read_split(config.data_root, name, config.limit))
    return rows


def _rejection(config: EvaluationConfig, model: Model, found: Mapping[str, Answers], say: Say) -> Rejection:
    """Unknown images against the known ones of the device that the model knows."""
    say("images of none of the five classes")
    known = next((name for name in found if name.lower() == "testa"), next(iter(found)))
    rejection, unknown = measure_rejection(
        Entrant(model.pipeline),
        model.classifier,
        found[known],
        config.data_root,
        limit=config.limit,
        seed=config.seed,
        batch_size=config.batch_size,
        workers=config.workers,
    )
    if all(np.isfinite(answers.distance).all() for answers in unknown.values()):
        values = {name: answers.distance for name, answers in ({known: found[known]} | unknown).items()}
        limit = model.bundle.manifest.review.max_distance
        plots.distances(values, limit, "distance from the training images", config.output_dir / "distances.png")
    return rejection


def _declared(config: EvaluationConfig, name: str) -> LabelSet | None:
    if config.binary_mode == "none" or not name.lower().startswith("testb"):
        return None
    head: Head = config.binary_mode
    return LabelSet(BINARY, head)


def _under_declaration(answers: Answers, label_set: LabelSet, config: EvaluationConfig) -> DomainResult:
    """The row of a declared label set: over the images that it allows, because a true declaration has no others."""
    allowed = np.isin(answers.labels, [CLASSES.index(name) for name in label_set.labels])
    kept = answers.only(allowed)
    result = domain_result(
        kept,
        config.data_root,
        seed=config.seed,
        declared=label_set.name,
        left_out=int((~allowed).sum()),
    )
    folder = config.output_dir / f"{answers.split.name}-declared-{label_set.head}"
    write_domain(folder, kept, result, config.data_root)
    return result


def _settings(config: EvaluationConfig, model: Model) -> dict[str, Any]:
    """How the answers were made; no folder of this machine."""
    manifest = model.bundle.manifest
    return {
        "preprocessing": manifest.preprocessing.variant,
        "color_normalization": manifest.preprocessing.color_normalization,
        "framing": manifest.preprocessing.framing.model_dump(),
        "tta": manifest.tta,
        "temperature": manifest.temperature,
        "testb_binary_mode": config.binary_mode,
        "limit": config.limit,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "as_served": model.calibrated and all(value is None for value in config.adaptation.values()),
    }


def _digest(model: Model) -> str:
    return model.bundle.sha256 if model.calibrated else "none: not exported"
