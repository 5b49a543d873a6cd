"""The numbers of an evaluation as they are kept: `metrics.json` of a domain, `evaluation.json` of a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluation.answers import Answers
from evaluation.intervals import Estimate, wilson
from evaluation.metrics import Metrics, measure
from evaluation.rejection import Coverage, Rejection, coverage
from evaluation.reliability import bins

EVALUATION = "evaluation.json"
DECIMALS = 6


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DomainResult(_Result):
    """What was found on one set of images.

    Attributes:
        name: of the folder, or `combined`.
        declared: the label set that the operator declared; None where the model was told nothing.
        left_out: images of other classes than the declared ones, which a declaration rules out.
        unreadable: files that could not be decoded, by name relative to the data, with the reason.
        metrics: all scores.
        ece_before: expected calibration error before temperature scaling.
        views: mean number of views an image.
        flagged: images flagged for review.
        flagged_by: by reason; an image may have several.
        unflagged_accuracy: accuracy of the images without a flag; None where all are flagged.
        coverage: how many can be answered at an accepted error.
    """

    name: str
    declared: str | None = None
    left_out: int = 0
    unreadable: dict[str, str] = {}
    metrics: Metrics
    ece_before: float
    views: float
    flagged: int
    flagged_by: dict[str, int]
    unflagged_accuracy: Estimate | None
    coverage: Coverage


Tier = Literal["image", "device", "batch"]


class AblationRow(_Result):
    """One way of answering on one set of images.

    Attributes:
        step: what was switched on.
        tier: what it knows: `image` one image alone, `device` unlabelled images of the device, `batch` the mixture of
            the classes in the batch.
        domain: the set of images.
        images: how many.
        accuracy, balanced_accuracy, macro_f1: with intervals; macro averages over the classes present.
        kappa: Cohen's.
        views: mean number of views an image.
        cost_ms: wall time an image, of one process on the machine that evaluated.
    """

    step: str
    tier: Tier
    domain: str
    images: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: Estimate
    kappa: float | None
    views: float
    cost_ms: float


class HeldOutChoice(_Result):
    """The step that the other foreign devices choose for one device, by mean balanced accuracy.

    Attributes:
        device: that had no say.
        chosen: the step.
        balanced_accuracy: of it on the device.
        nothing: balanced accuracy there without any step.
        best: the step that looking at the device itself would have chosen.
        best_balanced_accuracy: of that one; no honest number, a bound.
    """

    device: str
    chosen: str
    balanced_accuracy: float
    nothing: float
    best: str
    best_balanced_accuracy: float


class EvaluationResult(_Result):
    """All numbers of one evaluation of one model."""

    schema_version: Literal[1] = 1
    created: str = Field(description="UTC, ISO 8601")
    model: dict[str, str] = Field(description="name, version and SHA-256 of the manifest")
    settings: dict[str, Any] = Field(description="how the answers were made")
    domains: tuple[DomainResult, ...]
    declared: tuple[DomainResult, ...] = ()
    ablation: tuple[AblationRow, ...] = ()
    held_out_choices: tuple[HeldOutChoice, ...] = ()
    rejection: Rejection | None = None


def domain_result(
    answers: Answers, root: Path, *, seed: int, declared: str | None = None, left_out: int = 0
) -> DomainResult:
    """All numbers of the answers for one set of images.

    Args:
        answers: what was answered.
        root: folder that names of files are given relative to.
        seed: of the bootstrap.
        declared: name of the declared label set.
        left_out: images that the declaration rules out.
    """
    sure = ~answers.flagged
    codes = sorted({code for codes in answers.reasons for code in codes})
    cold = answers.uncalibrated
    return DomainResult(
        name=answers.split.name,
        declared=declared,
        left_out=left_out,
        unreadable={relative(bad.path, root): bad.reason for bad in answers.unreadable},
        metrics=measure(answers.labels, answers.probabilities, seed=seed),
        ece_before=bins(cold.max(axis=1), cold.argmax(axis=1) == answers.labels).error,
        views=float(answers.views.mean()),
        flagged=int(answers.flagged.sum()),
        flagged_by={code: sum(code in codes for codes in answers.reasons) for code in codes},
        unflagged_accuracy=wilson(int(answers.correct[sure].sum()), int(sure.sum())) if sure.any() else None,
        coverage=coverage(answers.confidence, answers.correct),
    )


def relative(path: Path, root: Path) -> str:
    """A file's name below the data's folder: where the data lies on this machine is nobody's business."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def write_json(result: BaseModel, path: Path) -> None:
    """Write a result, floats rounded to `DECIMALS`."""
    path.write_text(json.dumps(_rounded(result.model_dump(mode="json")), indent=1, ensure_ascii=False) + "\n")


def read_evaluation(path: Path) -> EvaluationResult:
    """Read what `write_json` wrote."""
    return EvaluationResult.model_validate_json(path.read_bytes())


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DECIMALS)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value
