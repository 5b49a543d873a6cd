"""`report.html`: the evaluation on one page, the worst mistakes first, with their heatmaps."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaluation.predictions import Predictions
from evaluation.results import EvaluationResult, relative
from evaluation.tables import make_tables
from wbc.analyzer import Analyzer
from wbc.images import encode_jpeg
from wbc.labels import CLASSES
from wbc.saliency.overlay import overlay
from wbc.tables import render

TEMPLATE = Path(__file__).parent / "templates" / "report.html"

WORST = 24
"""Number of mistakes shown, over all sets of images."""


class Mistake(NamedTuple):
    """A misclassified image, the confidence (0 to 1) of the predicted class and the codes of the reasons for review."""

    path: Path
    truth: str
    predicted: str
    confidence: float
    reasons: tuple[str, ...]


def worst_mistakes(predictions: Mapping[str, Predictions], number: int = WORST) -> list[Mistake]:
    """Return the misclassified images with the highest confidence, those without a flag first."""
    mistakes = [
        Mistake(
            found.split.paths[i],
            CLASSES[found.labels[i]],
            CLASSES[found.predicted[i]],
            float(found.confidence[i]),
            found.reasons[i],
        )
        for found in predictions.values()
        for i in np.flatnonzero(~found.correct)
    ]
    return sorted(mistakes, key=lambda mistake: (bool(mistake.reasons), -mistake.confidence))[:number]


def write_report(
    folder: Path, root: Path, analyzer: Analyzer, result: EvaluationResult, predictions: Mapping[str, Predictions]
) -> None:
    """Write `report.html` next to the files of each split; it contains images of the data set: do not publish it."""

    def embed(*names: str) -> str:
        """Return a plot as a data URI; empty if it was not drawn."""
        path = folder.joinpath(*names)
        return _data_uri("png", path.read_bytes()) if path.is_file() else ""

    page = render(
        TEMPLATE,
        result=result,
        tables=make_tables(result),
        mistakes=[(one, relative(one.path, root), _draw(analyzer, one.path)) for one in worst_mistakes(predictions)],
        embed=embed,
        plots=("confusion_matrix", "roc_curve", "reliability"),
        reports={one.name: (folder / one.name / "classification_report.txt").read_text() for one in result.domains},
    )
    (folder / "report.html").write_text(page)


def _draw(analyzer: Analyzer, path: Path) -> list[str]:
    """Return the framed picture and its overlay as data URIs."""
    analysis = analyzer.analyze(path.read_bytes())
    display = analysis.prepared.display
    pictures = (display, overlay(display, analysis.heatmap, analysis.prepared.foreground))
    return [_data_uri("jpeg", encode_jpeg(rgb)) for rgb in pictures]


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
