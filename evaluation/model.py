"""The model that is evaluated: a bundle, or a `.keras` file as training leaves it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evaluation.asking import Classifier
from wbc.adaptation.tta import Mode
from wbc.analysis import Pipeline
from wbc.bundle import Bundle
from wbc.errors import InvalidParameter
from wbc.inference import OnnxClassifier
from wbc.preprocessing.pipeline import Preprocessing
from wbc.preprocessing.stain import UNCALIBRATED


@dataclass(frozen=True, slots=True)
class Model:
    """A forward pass and what its manifest says of it.

    Attributes:
        bundle: the bundle, its manifest perhaps with other settings.
        classifier: the forward pass.
        calibrated: whether a temperature and thresholds were fitted.
    """

    bundle: Bundle
    classifier: Classifier
    calibrated: bool = True

    def configured(self, *, tta: Mode | None = None, **preprocessing: Any) -> Model:
        """The same model with other settings; None leaves what the bundle says.

        Args:
            tta: views.
            **preprocessing: fields of `Preprocessing`, and `framing` as a mapping of fields of `Framing`.

        Raises:
            InvalidParameter: the settings do not fit together.
        """
        manifest = self.bundle.manifest
        changes = {name: value for name, value in preprocessing.items() if value is not None}
        if changes:
            fields = {**manifest.preprocessing.model_dump(), **changes}
            fields["framing"] = {**manifest.preprocessing.framing.model_dump(), **changes.get("framing", {})}
            if fields["variant"] == "v4" and fields["macenko"] is None:
                fields["macenko"] = UNCALIBRATED.model_dump()
            try:
                spec = Preprocessing.model_validate(fields)
            except ValidationError as error:
                raise InvalidParameter("; ".join(str(e["msg"]) for e in error.errors())) from error
            manifest = manifest.model_copy(update={"preprocessing": spec})
        if tta is not None:
            manifest = manifest.model_copy(update={"tta": tta})
        return replace(self, bundle=replace(self.bundle, manifest=manifest))

    @property
    def pipeline(self) -> Pipeline:
        """The served path with these settings."""
        return Pipeline(self.bundle)


def load_model(path: Path, *, threads: int = 0) -> Model:
    """Load a bundle's folder, or a `.keras` file.

    Raises:
        BundleMissing: neither is there.
        BundleError: see `Bundle.load`.
    """
    if path.suffix == ".keras":
        from evaluation.keras_model import load_keras

        return load_keras(path)
    bundle = Bundle.load(path)
    return Model(bundle, OnnxClassifier(bundle.onnx_path, threads=threads))
