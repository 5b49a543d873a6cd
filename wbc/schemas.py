"""Wire types: what the HTTP interface and `wbc predict --json` answer."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from wbc.adaptation.review import ReviewReason
from wbc.analysis import Analysis
from wbc.bundle import Bundle
from wbc.explain.explainer import Report
from wbc.images import encode_png
from wbc.labels import CLASSES
from wbc.saliency.overlay import overlay


class RunnerUp(BaseModel):
    """The second most probable class."""

    model_config = ConfigDict(populate_by_name=True)

    label: str = Field(serialization_alias="class")
    probability: float


class Review(BaseModel):
    """Whether a person has to look, and why."""

    needed: bool
    reasons: list[ReviewReason]


class FocusValues(BaseModel):
    """Share of the map on the cell, share of the frame that is cell, and the lift; null without a valid mask."""

    valid: bool
    ratio: float | None
    coverage: float | None
    lift: float | None


class ModelInfo(BaseModel):
    """Which model answered."""

    name: str
    version: str
    bundle_sha256: str
    classes: list[str] = list(CLASSES)
    preprocessing: str
    tta: str
    temperature: float
    min_confidence: float

    @classmethod
    def of(cls, bundle: Bundle) -> ModelInfo:
        """What the answers of a bundle say of it."""
        manifest = bundle.manifest
        return cls(
            name=manifest.name,
            version=manifest.version,
            bundle_sha256=bundle.sha256,
            preprocessing=manifest.preprocessing.variant,
            tta=manifest.tta,
            temperature=manifest.temperature,
            min_confidence=manifest.review.min_confidence,
        )


class PredictionAnswer(BaseModel):
    """The body of a 200 of `POST /predict`; pictures are base64 PNG of the framed cell, without a data: prefix."""

    label: str = Field(serialization_alias="class")
    confidence: float = Field(description="calibrated probability of the class, 0 to 1")
    all_probabilities: dict[str, float]
    gradcam_image: str = Field(description="the class' activation map laid over the cell, RGB")
    gradcam_method: str
    display_image: str = Field(description="the framed cell, RGB")
    heatmap_image: str = Field(description="the map alone, 8-bit grey, not masked")
    llm_report: str | None
    report: Report | None
    runner_up: RunnerUp
    review: Review
    focus: FocusValues
    model: ModelInfo
    request_id: str
    timings_ms: dict[str, float]

    @classmethod
    def of(
        cls,
        analysis: Analysis,
        model: ModelInfo,
        request_id: str,
        *,
        report: Report | None = None,
        gradcam_method: str = "closed_form",
    ) -> PredictionAnswer:
        """The answer that an analysis makes."""
        display, heat = analysis.prepared.display, analysis.heatmap
        picture = overlay(display, heat, analysis.prepared.foreground)
        return cls(
            label=analysis.label,
            confidence=analysis.confidence,
            all_probabilities={name: analysis.probability(name) for name in CLASSES},
            gradcam_image=_base64_png(picture),
            gradcam_method=gradcam_method,
            display_image=_base64_png(display),
            heatmap_image=_base64_png((heat * 255.0 + 0.5).astype("uint8")),
            llm_report=report.text if report else None,
            report=report,
            runner_up=RunnerUp(label=analysis.runner_up, probability=analysis.probability(analysis.runner_up)),
            review=Review(needed=bool(analysis.review), reasons=list(analysis.review)),
            focus=FocusValues(
                valid=analysis.focus.valid,
                ratio=analysis.focus.ratio,
                coverage=analysis.focus.coverage,
                lift=analysis.focus.lift,
            ),
            model=model,
            request_id=request_id,
            timings_ms={stage: round(value, 3) for stage, value in analysis.timings_ms.items()},
        )


class ErrorAnswer(BaseModel):
    """The body of every error."""

    error: str = Field(description="what was wrong and what is accepted")
    code: str = Field(description="stable name")


def _base64_png(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(encode_png(pixels)).decode("ascii")
