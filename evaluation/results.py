"""Results of an evaluation: `metrics.json` of a split and `evaluation.json` of a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from evaluation.intervals import Estimate, FrozenModel, wilson
from evaluation.metrics import Metrics, measure
from evaluation.predictions import Predictions
from evaluation.rejection import Coverage, Rejection, measure_coverage
from evaluation.reliability import bin_rows

EVALUATION = "evaluation.json"
DECIMALS = 6


class DomainResult(FrozenModel):
    """Results on one set of images.

    Attributes:
        name: name of the split, or `combined`.
        declared: the declared label set; None without one.
        left_out: number of images of other classes than the declared ones, which are not counted.
        unreadable: reason by file, relative to the data, for each file that could not be decoded.
        metrics: all scores.
        ece_before: expected calibration error before temperature scaling.
        views: mean number of views per image.
        flagged: number of images flagged for review.
        flagged_by: the same by reason; an image may have several.
        unflagged_accuracy: accuracy on the other images; None if there is none.
        coverage: selective prediction at an accepted error.
    """

    name: str
    declared: str | None = None
    left_out: int = 0
    unreadable: dict[str, str] = Field({})
    metrics: Metrics
    ece_before: float
    views: float
    flagged: int
    flagged_by: dict[str, int]
    unflagged_accuracy: Estimate | None
    coverage: Coverage

    @property
    def title(self) -> str:
        """Name with the declared label set."""
        return self.name if self.declared is None else f"{self.name}, {self.declared}"


Tier = Literal["image", "device", "batch"]


class AblationRow(FrozenModel):
    """Scores of one step of the ablation on one set of images.

    Attributes:
        step: name of the step.
        tier: information used: `image` only the image, `device` also unlabelled images of the device, `batch` also
            the class shares of the batch.
        domain: name of the set of images.
        images: number of images.
        accuracy, balanced_accuracy, macro_f1: with intervals; macro averages over the classes present.
        kappa: Cohen's.
        views: mean number of views per image.
        cost_ms: wall time per image of one process on the machine that evaluated.
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


class HeldOutChoice(FrozenModel):
    """The step chosen for one device by mean balanced accuracy on the other foreign devices.

    Attributes:
        device: the device, which has no part in the choice.
        chosen: the step.
        balanced_accuracy: its balanced accuracy on the device.
        nothing: balanced accuracy on the device without any step.
        best: the step with the highest balanced accuracy on the device.
        best_balanced_accuracy: that accuracy, an upper bound.
    """

    device: str
    chosen: str
    balanced_accuracy: float
    nothing: float
    best: str
    best_balanced_accuracy: float


class EvaluationResult(FrozenModel):
    """All results of one evaluation of one model."""

    schema_version: Literal[1] = 1
    created: str = Field(description="UTC, ISO 8601")
    model: dict[str, str] = Field(description="name, version and SHA-256 of the manifest")
    settings: dict[str, Any] = Field(description="settings of the pipeline and of the evaluation")
    domains: tuple[DomainResult, ...]
    declared: tuple[DomainResult, ...] = ()
    ablation: tuple[AblationRow, ...] = ()
    held_out_choices: tuple[HeldOutChoice, ...] = ()
    rejection: Rejection | None = None


def measure_domain(
    predictions: Predictions, root: Path, *, seed: int, declared: str | None = None, left_out: int = 0
) -> DomainResult:
    """Compute all results on one set of images; file names are relative to `root`, `seed` is that of the bootstrap."""
    unflagged = predictions.correct[~predictions.flagged]
    return DomainResult(
        name=predictions.split.name,
        declared=declared,
        left_out=left_out,
        unreadable={relative(bad.path, root): bad.reason for bad in predictions.unreadable},
        metrics=measure(predictions.labels, predictions.probabilities, seed=seed),
        ece_before=bin_rows(predictions.uncalibrated, predictions.labels).error,
        views=float(predictions.views.mean()),
        flagged=int(predictions.flagged.sum()),
        flagged_by={code: int(flags.sum()) for code, flags in predictions.flagged_by.items()},
        unflagged_accuracy=wilson(int(unflagged.sum()), len(unflagged)) if len(unflagged) else None,
        coverage=measure_coverage(predictions.confidence, predictions.correct),
    )


def relative(path: Path, root: Path) -> str:
    """Return the name of a file below a folder; results do not contain the paths of this machine."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def write_json(result: BaseModel, path: Path) -> None:
    """Write a result, floats rounded to `DECIMALS`."""
    path.write_text(json.dumps(_rounded(result.model_dump(mode="json")), indent=1, ensure_ascii=False) + "\n")


def read_evaluation(path: Path) -> EvaluationResult:
    """Read the file that `write_json` wrote."""
    return EvaluationResult.model_validate_json(path.read_bytes())


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DECIMALS)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
