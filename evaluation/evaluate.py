"""`wbc evaluate`: what the product answers for labelled images, and what that is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from evaluation import plots
from evaluation.ablation import ablate, held_out_choices
from evaluation.answers import Answers, joined
from evaluation.asking import Entrant, answer
from evaluation.config import EvaluationConfig
from evaluation.files import write_domain
from evaluation.model import Model, load_model
from evaluation.rejection import ACCEPTED_ERROR, Rejection, risk_coverage
from evaluation.report import Page
from evaluation.results import (
    EVALUATION,
    DomainResult,
    EvaluationResult,
    domain_result,
    write_json,
)
from evaluation.unknown import measure_rejection
from wbc.adaptation.routing import BINARY, Head, LabelSet
from wbc.data.dataset import domains, read_split
from wbc.labels import CLASSES

COMBINED = "combined"

Say = Callable[[str], None]


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
    names = list(config.splits) or domains(config.data_root)
    found, declared = _answers(config, model, names, say)
    results = [domain_result(answers, config.data_root, seed=config.seed) for answers in found.values()]
    for domain in results:
        write_domain(config.output_dir / domain.name, found[domain.name], domain, config.data_root)
    curves = {name: risk_coverage(answers.confidence, answers.correct) for name, answers in found.items()}
    plots.risk_coverage(curves, ACCEPTED_ERROR, config.output_dir / "risk_coverage.png")
    manifest = model.bundle.manifest
    result = EvaluationResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model={"name": manifest.name, "version": manifest.version, "sha256": _digest(model)},
        settings=_settings(config, model),
        domains=tuple(results),
        declared=tuple(declared),
        rejection=_rejection(config, model, found, say) if config.rejection else None,
    )
    if config.ablation:
        write_json(result, config.output_dir / EVALUATION)  # the ablation takes long: what is known is kept
        rows = ablate(config, names, say)
        result = result.model_copy(update={"ablation": tuple(rows), "held_out_choices": held_out_choices(rows)})
    write_json(result, config.output_dir / EVALUATION)
    apart = {name: answers for name, answers in found.items() if name != COMBINED}
    Page(config.output_dir, config.data_root, model.pipeline, model.classifier).write(result, apart)
    return Evaluation(result, found, model)


def _answers(
    config: EvaluationConfig, model: Model, names: Sequence[str], say: Say
) -> tuple[dict[str, Answers], list[DomainResult]]:
    """The answers for each set of images, `combined` among them, and the rows of declared label sets."""
    found: dict[str, Answers] = {}
    declared: list[DomainResult] = []
    pipeline = model.pipeline
    for name in names:
        split = read_split(config.data_root, name, config.limit)
        say(f"{name}: {len(split.paths)} images")
        entrants = {"five": Entrant(pipeline)}
        label_set = _declared(config, name)
        if label_set is not None:
            entrants["declared"] = Entrant(pipeline, label_set)
        answers = answer(entrants, model.classifier, split, **config.asking)
        found[name] = answers["five"]
        if label_set is not None:
            declared += _under_declaration(answers["declared"], label_set, config)
    tests = [found[name] for name in names if name.lower().startswith("test")]
    if len(tests) > 1:
        found[COMBINED] = joined(COMBINED, tests)
    return found, declared


def _rejection(config: EvaluationConfig, model: Model, found: Mapping[str, Answers], say: Say) -> Rejection:
    """Unknown images against the known ones of the device that the model knows."""
    say("images of none of the five classes")
    known = next((name for name in found if name.lower() == "testa"), next(iter(found)))
    entrant = Entrant(model.pipeline)
    rejection, unknown = measure_rejection(entrant, model.classifier, found[known], config)
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


def _under_declaration(answers: Answers, label_set: LabelSet, config: EvaluationConfig) -> list[DomainResult]:
    """The row of a declared label set: over the images that it allows, because a true declaration has no others.

    A set of images without one of the declared classes has no row.
    """
    allowed = np.isin(answers.labels, [CLASSES.index(name) for name in label_set.labels])
    if not allowed.any():
        return []
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
    return [result]


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
        "ablation_limit": config.ablation_limit,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "as_served": model.calibrated and all(value is None for value in config.adaptation.values()),
    }


def _digest(model: Model) -> str:
    return model.bundle.sha256 if model.calibrated else "none: not exported"
