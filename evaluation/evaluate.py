"""Evaluation of a model on labelled images: predictions, metrics, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from evaluation import plots
from evaluation.ablation import held_out_choices, run_ablation
from evaluation.config import EvaluationConfig
from evaluation.files import write_domain
from evaluation.model import configure, graph_of, is_exported, load_analyzer
from evaluation.model_card import check_as_served, write_into_bundle
from evaluation.predictions import Configuration, Predictions, predict
from evaluation.rejection import ACCEPTED_ERROR, Rejection, risk_coverage
from evaluation.report import write_report
from evaluation.results import EVALUATION, DomainResult, EvaluationResult, measure_domain, write_json
from evaluation.unknown import measure_rejection
from wbc.adaptation.routing import BINARY, LabelSet
from wbc.analyzer import Analyzer
from wbc.bundle import Bundle
from wbc.data.dataset import domains, read_split
from wbc.labels import CLASSES

COMBINED = "combined"

Say = Callable[[str], None]


def evaluate(config: EvaluationConfig, say: Say = lambda _: None) -> EvaluationResult:
    """Evaluate a model, write the results and return them; `say` receives progress messages.

    Raises:
        DataError: the data is not laid out as expected.
        BundleError: the model cannot be loaded.
        InvalidParameter: the settings do not fit together, or are not those of the bundle that is to be written.
    """
    loaded = load_analyzer(config.model_path)
    analyzer = configure(loaded, **config.adaptation)
    settings = _describe_settings(config, analyzer)
    if config.write_bundle:
        check_as_served(settings)
    names = list(config.splits) or domains(config.data_root)
    predictions, declared = _predict_all(config, analyzer, names, say)
    results = [measure_domain(found, config.data_root, seed=config.seed) for found in predictions.values()]
    for domain in results:
        write_domain(config.output_dir / domain.name, predictions[domain.name], domain, config.data_root)
    curves = {name: risk_coverage(found.confidence, found.correct) for name, found in predictions.items()}
    plots.risk_coverage(curves, ACCEPTED_ERROR, config.output_dir / "risk_coverage.png")
    bundle = analyzer.bundle
    digest = bundle.sha256 if is_exported(bundle) else "none: not exported"
    result = EvaluationResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model={"name": bundle.manifest.name, "version": bundle.manifest.version, "sha256": digest},
        settings=settings,
        domains=tuple(results),
        declared=tuple(declared),
        rejection=_measure_rejection(config, analyzer, predictions, say) if config.rejection else None,
    )
    if config.ablation:
        write_json(result, config.output_dir / EVALUATION)  # the ablation takes long and may be interrupted
        rows = run_ablation(config, loaded, names, say)
        result = result.model_copy(update={"ablation": tuple(rows), "held_out_choices": held_out_choices(rows)})
    write_json(result, config.output_dir / EVALUATION)
    separate = {name: found for name, found in predictions.items() if name != COMBINED}
    write_report(config.output_dir, config.data_root, analyzer, result, separate)
    if config.write_bundle:
        write_into_bundle(config.model_path, result)
    return result


def _predict_all(
    config: EvaluationConfig, analyzer: Analyzer, names: Sequence[str], say: Say
) -> tuple[dict[str, Predictions], list[DomainResult]]:
    """Return the predictions by split, with `combined`, and the results under declared label sets."""
    predictions: dict[str, Predictions] = {}
    declared: list[DomainResult] = []
    for name in names:
        split = read_split(config.data_root, name, config.limit)
        say(f"{name}: {len(split.paths)} images")
        configurations = {"five": Configuration(analyzer.pipeline)}
        label_set = None
        if config.binary_mode != "none" and name.lower().startswith("testb"):
            label_set = LabelSet(BINARY, config.binary_mode)
            configurations["declared"] = Configuration(analyzer.pipeline, label_set)
        found = predict(analyzer, split, configurations, **config.batching)
        predictions[name] = found["five"]
        if label_set is not None:
            declared += _measure_declared(found["declared"], label_set, config)
    tests = [predictions[name] for name in names if name.lower().startswith("test")]
    if len(tests) > 1:
        predictions[COMBINED] = Predictions.joined(COMBINED, tests)
    return predictions, declared


def _measure_rejection(
    config: EvaluationConfig, analyzer: Analyzer, predictions: Mapping[str, Predictions], say: Say
) -> Rejection:
    """Compare out-of-distribution images with the known ones of `TestA`, or of the first split."""
    say("images of none of the five classes")
    name = next((name for name in predictions if name.lower() == "testa"), next(iter(predictions)))
    rejection, unknown = measure_rejection(analyzer, predictions[name], config)
    if all(np.isfinite(found.distance).all() for found in unknown.values()):
        distances = {group: found.distance for group, found in ({name: predictions[name]} | unknown).items()}
        limit = analyzer.bundle.manifest.review.max_distance
        plots.distances(distances, limit, "distance from the training images", config.output_dir / "distances.png")
    return rejection


def _measure_declared(predictions: Predictions, label_set: LabelSet, config: EvaluationConfig) -> list[DomainResult]:
    """Measure the images of the declared classes, because a true declaration has no others; none gives no result."""
    allowed = np.isin(predictions.labels, [CLASSES.index(name) for name in label_set.labels])
    if not allowed.any():
        return []
    kept, left_out = predictions.only(allowed), int((~allowed).sum())
    root = config.data_root
    result = measure_domain(kept, root, seed=config.seed, declared=label_set.name, left_out=left_out)
    write_domain(config.output_dir / f"{result.name}-declared-{label_set.head}", kept, result, root)
    return [result]


def _describe_settings(config: EvaluationConfig, analyzer: Analyzer) -> dict[str, Any]:
    """Return the settings of an evaluation, without paths of this machine."""
    manifest, bundle = analyzer.bundle.manifest, analyzer.bundle
    return {
        "preprocessing": manifest.preprocessing.variant,
        "color_normalization": manifest.preprocessing.color_normalization,
        "framing": manifest.preprocessing.framing.model_dump(),
        "graph": graph_of(analyzer),
        "tta": manifest.tta,
        "temperature": manifest.temperature,
        "testb_binary_mode": config.binary_mode,
        "limit": config.limit,
        "ablation_limit": config.ablation_limit,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "as_served": is_exported(bundle) and manifest == Bundle.load(bundle.path).manifest,
    }
