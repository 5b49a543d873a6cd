"""The interface between the HTTP routes and the code that analyzes images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from wbc.explain.wording import Language
from wbc.schemas import ExplainAnswer, ModelInfo, Prediction

GradCamMethod = Literal["closed_form", "keras"]


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """Options of a prediction.

    Attributes:
        explain: write a report.
        language: language of the report.
        heatmaps: include the images.
        gradcam: source of the activation map.
        layer: layer of the Keras graph for the map; None takes the bundle's.
    """

    explain: bool = True
    language: Language = "en"
    heatmaps: bool = True
    gradcam: GradCamMethod = "closed_form"
    layer: str | None = None


class Engine(Protocol):
    """Analyzes uploads; raises errors of `wbc.errors`."""

    @property
    def model(self) -> ModelInfo:
        """Model that is served."""

    async def predict(self, data: bytes, request_id: str, options: PredictOptions) -> Prediction:
        """Classify one image; return a `PredictionAnswer` if the options include images."""

    async def explain(self, data: bytes, request_id: str, language: Language) -> ExplainAnswer:
        """Write a report on one image."""
