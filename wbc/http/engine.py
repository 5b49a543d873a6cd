"""What answers behind the interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from wbc.explain.wording import Language
from wbc.schemas import ExplainAnswer, ModelInfo, Prediction

GradCamMethod = Literal["closed_form", "keras"]


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """What a caller wants to know of an image.

    Attributes:
        explain: a report.
        language: of the report.
        heatmaps: the pictures.
        gradcam: who makes the map.
        layer: that the Keras graph's map is taken from; None is the bundle's own.
    """

    explain: bool = True
    language: Language = "en"
    heatmaps: bool = True
    gradcam: GradCamMethod = "closed_form"
    layer: str | None = None


class Engine(Protocol):
    """Answers on images; raises errors of `wbc.errors`."""

    @property
    def model(self) -> ModelInfo:
        """Which model answers."""

    async def predict(self, data: bytes, request_id: str, options: PredictOptions) -> Prediction:
        """Classify one image; a `PredictionAnswer` where the options want pictures."""

    async def explain(self, data: bytes, request_id: str, language: Language) -> ExplainAnswer:
        """Report on one image."""
