"""The analyzer that is evaluated: of a bundle, or of a `.keras` file as training leaves it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wbc.adaptation.tta import Mode
from wbc.analyzer import Analyzer
from wbc.bundle import Bundle
from wbc.errors import InvalidParameter
from wbc.preprocessing.pipeline import Preprocessing
from wbc.preprocessing.stain import UNCALIBRATED


def load_analyzer(path: Path) -> Analyzer:
    """Load the folder of a bundle, or a `.keras` file, with the settings of this process.

    Raises:
        BundleMissing: the path does not exist.
        BundleError: see `Bundle.load`.
        DeviceUnavailable: the device was requested by name and cannot be used.
    """
    if path.suffix == ".keras":
        from evaluation.keras_model import load_keras

        return load_keras(path)
    return Analyzer.load(path)


def graph_of(analyzer: Analyzer) -> str:
    """Return `fp32`, `int8` or `fp16` for a graph of a bundle and `keras` for a Keras model."""
    return "keras" if analyzer.provider is None else analyzer.graph


def is_exported(bundle: Bundle) -> bool:
    """Return false for a `.keras` file without a manifest: it has no fitted temperature and thresholds."""
    return bool(bundle.manifest.files)


def configure(analyzer: Analyzer, *, tta: Mode | None = None, **preprocessing: Any) -> Analyzer:
    """Return the analyzer with other test-time augmentation and fields of `Preprocessing`; None keeps the bundle's.

    `framing` is a mapping of fields of `Framing`.

    Raises:
        InvalidParameter: the settings do not fit together.
    """
    bundle = analyzer.bundle.with_tta(tta)
    changes = {name: value for name, value in preprocessing.items() if value is not None}
    if changes:
        spec = bundle.manifest.preprocessing
        values = {**spec.model_dump(), **changes}
        values["framing"] = {**spec.framing.model_dump(), **changes.get("framing", {})}
        if values["variant"] == "v4" and values["macenko"] is None:
            values["macenko"] = UNCALIBRATED.model_dump()
        try:
            changed = Preprocessing.model_validate(values)
        except ValidationError as error:
            raise InvalidParameter("; ".join(str(e["msg"]) for e in error.errors())) from error
        bundle = replace(bundle, manifest=bundle.manifest.model_copy(update={"preprocessing": changed}))
    return Analyzer(bundle, analyzer.classifier)
