"""Wire types: what the HTTP interface and `wbc predict --json` answer."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from wbc.adaptation.review import ReviewReason
from wbc.analysis import Analysis
from wbc.analyzer import Analyzer
from wbc.bundle import Bundle
from wbc.differential import Share, differential
from wbc.explain.explainer import Report
from wbc.images import encode_png
from wbc.labels import CLASSES
from wbc.saliency.overlay import overlay
from wbc.settings import Graph


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
    graph: Graph = Field("fp32", description="precision of the graph that serves")
    provider: str | None = Field(None, description="active execution provider; null until the classifier has started")

    @classmethod
    def of(cls, bundle: Bundle, *, graph: Graph = "fp32", provider: str | None = None) -> Self:
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
            graph=graph,
            provider=provider,
        )

    @classmethod
    def from_analyzer(cls, analyzer: Analyzer) -> Self:
        """Describe the model of an analyzer."""
        return cls.of(analyzer.bundle, graph=analyzer.graph, provider=analyzer.provider)


class Prediction(BaseModel):
    """What is known of one image, without pictures: the answer of `POST /predict/batch?heatmaps=false` for a file."""

    label: str = Field(serialization_alias="class")
    confidence: float = Field(description="calibrated probability of the class, 0 to 1")
    all_probabilities: dict[str, float]
    llm_report: str | None
    report: Report | None
    runner_up: RunnerUp
    review: Review
    focus: FocusValues
    model: ModelInfo
    request_id: str
    timings_ms: dict[str, float] = Field(description="wall time of each stage, milliseconds")

    @classmethod
    def of(cls, analysis: Analysis, model: ModelInfo, request_id: str, *, report: Report | None = None) -> Self:
        """The answer that an analysis makes."""
        return cls(
            label=analysis.label,
            confidence=analysis.confidence,
            all_probabilities={name: analysis.probability(name) for name in CLASSES},
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


class PredictionAnswer(Prediction):
    """The body of a 200 of `POST /predict`; pictures are base64 PNG of the framed cell, without a data: prefix."""

    gradcam_image: str = Field(description="the class' activation map laid over the cell, RGB")
    gradcam_method: str
    display_image: str = Field(description="the framed cell, RGB")
    heatmap_image: str = Field(description="the map alone, 8-bit grey, not masked")

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
        """The answer that an analysis makes."""
        start = time.perf_counter()
        display, heat = analysis.prepared.display, analysis.heatmap
        answer = cls(
            **dict(Prediction.of(analysis, model, request_id, report=report)),
            gradcam_image=_base64_png(overlay(display, heat, analysis.prepared.foreground)),
            gradcam_method=gradcam_method,
            display_image=_base64_png(display),
            heatmap_image=_base64_png((heat * 255.0 + 0.5).astype("uint8")),
        )
        answer.timings_ms["encode"] = round((time.perf_counter() - start) * 1e3, 3)
        return answer


class ExplainAnswer(BaseModel):
    """The body of a 200 of `POST /explain`."""

    report: Report
    model: ModelInfo
    request_id: str
    timings_ms: dict[str, float] = Field(description="wall time of each stage, milliseconds")


class ErrorAnswer(BaseModel):
    """The body of every error."""

    error: str = Field(description="what was wrong and what is accepted")
    code: str = Field(description="stable name")


class FilePrediction(BaseModel):
    """A file of a batch that was answered; with pictures where the batch asked for heatmaps."""

    index: int = Field(description="position of the file in the request, from 0")
    prediction: PredictionAnswer | Prediction


class FileError(BaseModel):
    """A file of a batch that could not be answered."""

    index: int = Field(description="position of the file in the request, from 0")
    error: ErrorAnswer


class CellForReview(BaseModel):
    """A cell that a person has to name; it is not counted."""

    index: int = Field(description="position of the file in the request, from 0")
    suggestion: str | None = Field(description="the model's answer; null where the file could not be answered")
    confidence: float | None = Field(description="of the suggestion, 0 to 1")
    reasons: list[str] = Field(description="codes of the review, or why the file could not be answered")


class DifferentialAnswer(BaseModel):
    """A differential count, as `wbc differential --format json` gives it."""

    counted: int = Field(description="cells that were counted")
    for_review: int = Field(description="cells left out of the count until a person has named them")
    shares: tuple[Share, ...]
    review: list[CellForReview]

    @classmethod
    def of(cls, results: Sequence[FilePrediction | FileError]) -> Self:
        """The count of the files that nothing speaks against, the others listed apart."""
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
    """The body of a 200 of `POST /predict/batch`.

    Files are told apart by their position alone: names of files can identify patients and are neither kept nor echoed.
    """

    results: list[FilePrediction | FileError] = Field(description="one a file, in the order of the request")
    differential: DifferentialAnswer
    model: ModelInfo
    request_id: str
    timings_ms: dict[str, float] = Field(description="`total`: wall time of the whole batch, milliseconds")


def _base64_png(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(encode_png(pixels)).decode("ascii")
