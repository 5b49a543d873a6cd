"""An engine whose result is the content of an upload."""

from __future__ import annotations

import asyncio

import numpy as np

from wbc.adaptation.review import ReviewReason
from wbc.errors import MalformedImage, ModelError, NotReady, WBCError
from wbc.explain.report import RULES, Report
from wbc.explain.wording import Language
from wbc.http import PredictOptions
from wbc.labels import CLASSES
from wbc.schemas import ExplainAnswer, FocusValues, ModelInfo, Prediction, PredictionAnswer, Review, RunnerUp

MODEL = ModelInfo(
    name="scripted",
    version="0",
    bundle_sha256="0" * 64,
    preprocessing="none",
    tta="none",
    temperature=1.0,
    min_confidence=0.5,
)
TIMINGS_MS = {"decode": 1.0, "forward": 20.0}


class ScriptedEngine:
    """Returns the class `<class>`, flagged for `<class>?`, or raises an error by name.

    Attributes:
        asked: uploads in order.
        most: maximum number of uploads in progress.
    """

    ERRORS: dict[bytes, Exception] = {  # noqa: RUF012 - read only
        b"malformed": MalformedImage("damaged"),
        b"model": ModelError("broken"),
        b"away": NotReady("starting"),
        b"bug": RuntimeError("a secret path"),
    }
    model = MODEL

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[bytes] = []
        self.most = self._now = 0

    async def predict(self, data: bytes, request_id: str, options: PredictOptions) -> Prediction:
        await self._ask(data)
        word = data.decode()
        label = word.rstrip("?")
        shares = np.where(np.array(CLASSES) == label, 0.9, 0.025)
        report = Report(text="words", provider=RULES, language=options.language) if options.explain else None
        reasons = [ReviewReason(code="low_confidence", text="unsure")] if word.endswith("?") else []
        known = Prediction(
            label=label,
            confidence=0.9,
            all_probabilities=dict(zip(CLASSES, shares.tolist(), strict=True)),
            llm_report=report.text if report else None,
            report=report,
            runner_up=RunnerUp(label=CLASSES[0], probability=0.025),
            review=Review(needed=bool(reasons), reasons=reasons),
            focus=FocusValues(valid=False, ratio=None, coverage=None, lift=None),
            model=MODEL,
            request_id=request_id,
            timings_ms=TIMINGS_MS,
        )
        if not options.heatmaps:
            return known
        return PredictionAnswer(
            **dict(known), gradcam_image="", gradcam_method="closed_form", display_image="", heatmap_image=""
        )

    async def explain(self, data: bytes, request_id: str, language: Language) -> ExplainAnswer:
        await self._ask(data)
        report = Report(text="words", provider=RULES, language=language)
        return ExplainAnswer(report=report, model=MODEL, request_id=request_id, timings_ms=TIMINGS_MS)

    async def _ask(self, data: bytes) -> None:
        self.asked.append(data)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(30 if data == b"slow" else 0.001)
        finally:
            self._now -= 1
        if (error := self.error or self.ERRORS.get(data)) is not None:
            raise error if isinstance(error, WBCError) else RuntimeError(str(error))
