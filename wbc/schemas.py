"""Response types of the HTTP interface and of `wbc predict --json`."""

from __future__ import annotations

import base64
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from wbc.adaptation.review import ReviewReason
from wbc.analysis import Analysis
from wbc.analyzer import Analyzer
from wbc.bundle import Bundle
from wbc.differential import Share, differential
from wbc.errors import WBCError
from wbc.explain.report import Report
from wbc.images import encode_png
from wbc.labels import CLASSES
from wbc.saliency.overlay import grey, overlay
from wbc.settings import Graph


class RunnerUp(BaseModel):
    """The second most probable class."""

    model_config = ConfigDict(populate_by_name=True)

    label: str = Field(serialization_alias="class")
    probability: float


class Review(BaseModel):
    """Reasons for which a person must review the image."""

    needed: bool
    reasons: list[ReviewReason]


class FocusValues(BaseModel):
    """Foreground focus of the activation map (see `wbc.saliency.focus`); null without a valid mask."""

    model_config = ConfigDict(from_attributes=True)

    valid: bool
    ratio: float | None
    coverage: float | None
    lift: float | None


class ModelInfo(BaseModel):
    """Model that made a prediction."""

    name: str
    version: str
    bundle_sha256: str
    classes: list[str] = list(CLASSES)
    preprocessing: str
    tta: str
    temperature: float
    min_confidence: float
    graph: Graph = Field("fp32", description="precision of the served graph")
    provider: str | None = Field(None, description="active execution provider; null until the classifier has started")

    @classmethod
    def of(cls, bundle: Bundle, *, graph: Graph = "fp32", provider: str | None = None) -> Self:
        """Describe a bundle."""
        manifest = bundle.manifest
        return cls(
            name=manifest.name,
            version=manifest.version,
            bundle_sha256=bundle.sha256,
            preprocessing=manifest.preprocessing.variant,
            tta=manifest.tta,
            temperature=manifest.temperature,
            min_confidence=manifest.review.min_confidence,
            graph=graph,
            provider=provider,
        )

    @classmethod
    def from_analyzer(cls, analyzer: Analyzer) -> Self:
        """Describe the model of an analyzer."""
        return cls.of(analyzer.bundle, graph=analyzer.graph, provider=analyzer.provider)


class Prediction(BaseModel):
    """Prediction for one image without pictures; the result of `POST /predict/batch?heatmaps=false` for a file."""

    label: str = Field(serialization_alias="class")
    confidence: float = Field(description="calibrated probability of the class, 0 to 1")
    all_probabilities: dict[str, float]
    llm_report: str | None
    report: Report | None
    runner_up: RunnerUp
    review: Review
    focus: FocusValues
    diameter_in_red_cells: float | None = Field(
        None, description="diameter of the cell over that of the red cells around it; null where either is not known"
    )
    model: ModelInfo
    request_id: str
    timings_ms: dict[str, float] = Field(description="wall time of each stage, milliseconds")

    @classmethod
    def of(cls, analysis: Analysis, model: ModelInfo, request_id: str, *, report: Report | None = None) -> Self:
        """Create the response from an analysis."""
        diameter = analysis.prepared.diameter_in_red_cells
        return cls(
            label=analysis.label,
            confidence=analysis.confidence,
            all_probabilities={name: analysis.probability(name) for name in CLASSES},
            llm_report=report.text if report else None,
            report=report,
            runner_up=RunnerUp(label=analysis.runner_up, probability=analysis.probability(analysis.runner_up)),
            review=Review(needed=bool(analysis.review), reasons=list(analysis.review)),
            focus=FocusValues.model_validate(analysis.focus),
            diameter_in_red_cells=None if math.isnan(diameter) else round(diameter, 3),
            model=model,
            request_id=request_id,
            timings_ms=round_timings(analysis.timings_ms),
        )


class PredictionAnswer(Prediction):
    """Response of `POST /predict`; pictures are base64 PNG of the framed cell, without a data: prefix."""

    gradcam_image: str = Field(description="activation map of the class, laid over the cell, RGB")
    gradcam_method: str
    display_image: str = Field(description="the framed cell, RGB")
    heatmap_image: str = Field(description="activation map only, 8-bit grey, not masked")

    @classmethod
    def of(
        cls,
        analysis: Analysis,
        model: ModelInfo,
        request_id: str,
        *,
        report: Report | None = None,
        gradcam_method: str = "closed_form",
    ) -> Self:
        """Create the response from an analysis."""
        start = time.perf_counter()
        display, heat = analysis.prepared.display, analysis.heatmap
        answer = cls(
            **dict(Prediction.of(analysis, model, request_id, report=report)),
            gradcam_image=_base64_png(overlay(display, heat, analysis.prepared.foreground)),
            gradcam_method=gradcam_method,
            display_image=_base64_png(display),
            heatmap_image=_base64_png(grey(heat)),
        )
        answer.timings_ms["encode"] = round((time.perf_counter() - start) * 1e3, 3)
        return answer


class ExplainAnswer(BaseModel):
    """Response of `POST /explain`."""

    report: Report
    model: ModelInfo
    request_id: str
    timings_ms: dict[str, float] = Field(description="wall time of each stage, milliseconds")


class ErrorAnswer(BaseModel):
    """Body of every error response."""

    error: str = Field(description="error message for people")
    code: str = Field(description="stable code for programs")

    @classmethod
    def of(cls, error: WBCError) -> Self:
        """Describe an error."""
        return cls(error=str(error), code=error.code)


class FilePrediction(BaseModel):
    """Result of a file of a batch; with pictures if the request set `heatmaps=true`."""

    index: int = Field(description="position of the file in the request, from 0")
    prediction: PredictionAnswer | Prediction


class FileError(BaseModel):
    """Error of a file of a batch."""

    index: int = Field(description="position of the file in the request, from 0")
    error: ErrorAnswer


class CellForReview(BaseModel):
    """Cell that a person must classify; it is not counted."""

    index: int = Field(description="position of the file in the request, from 0")
    suggestion: str | None = Field(description="predicted class; null if the file failed")
    confidence: float | None = Field(description="calibrated probability of the suggestion, 0 to 1")
    reasons: list[str] = Field(description="codes of the review reasons, or the error message")


class DifferentialAnswer(BaseModel):
    """Differential count, in the format of `wbc differential --format json`."""

    counted: int = Field(description="number of cells counted")
    for_review: int = Field(description="number of cells not counted until a person has classified them")
    shares: tuple[Share, ...]
    review: list[CellForReview]

    @classmethod
    def of(cls, results: Sequence[FilePrediction | FileError]) -> Self:
        """Count the files without review reasons; list the others for review."""
        counts: Counter[str] = Counter()
        waiting: list[CellForReview] = []
        for result in results:
            if isinstance(result, FileError):
                reasons = [result.error.error]
                waiting.append(CellForReview(index=result.index, suggestion=None, confidence=None, reasons=reasons))
                continue
            found = result.prediction
            if not found.review.needed:
                counts[found.label] += 1
                continue
            codes: list[str] = [reason.code for reason in found.review.reasons]
            confidence = round(found.confidence, 4)
            waiting.append(
                CellForReview(index=result.index, suggestion=found.label, confidence=confidence, reasons=codes)
            )
        count = differential(counts, len(waiting))
        return cls(counted=count.counted, for_review=count.for_review, shares=count.shares, review=waiting)


class BatchAnswer(BaseModel):
    """Response of `POST /predict/batch`.

    Files are identified by position only: file names can identify patients and are neither kept nor returned.
    """

    results: list[FilePrediction | FileError] = Field(description="one result per file, in the order of the request")
    differential: DifferentialAnswer
    model: ModelInfo
    request_id: str
    timings_ms: dict[str, float] = Field(description="`total`: wall time of the whole batch, milliseconds")


def round_timings(timings_ms: Mapping[str, float]) -> dict[str, float]:
    """Round timings to microseconds."""
    return {stage: round(value, 3) for stage, value in timings_ms.items()}


def _base64_png(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(encode_png(pixels)).decode("ascii")
