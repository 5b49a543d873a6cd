"""The model bundle on disk: a manifest, the weights and the graphs, each file's hash checked on load.

<bundle>/
  manifest.json      written by export, read here; nobody writes it by hand
  model.onnx         what serves
  model.int8.onnx    the same network in 8-bit integers; only where `wbc quantize` measured that it may serve
  model.fp16.onnx    the same network in half precision, for GPUs; likewise
  model.keras        what trained; Grad-CAM on any layer
  MODEL_CARD.md      generated
  evaluation.json    generated
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wbc.adaptation.review import ReviewThresholds
from wbc.adaptation.tta import Mode
from wbc.errors import BundleCorrupted, BundleMismatch, BundleMissing
from wbc.labels import CLASSES
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor, probe
from wbc.run_record import TrainingSummary
from wbc.settings import Graph

MANIFEST = "manifest.json"
ONNX = "model.onnx"
KERAS = "model.keras"
FAMILIARITY = "familiarity.npz"

GRAPHS: dict[Graph, str] = {"fp32": ONNX, "int8": "model.int8.onnx", "fp16": "model.fp16.onnx"}
"""File of each graph, by the precision that it computes in; every bundle holds the first."""

PROBE_TOLERANCE = 3
"""Levels of 255 by which the drawn cell may come out otherwise: releases of OpenCV round differently."""


class DataSource(BaseModel):
    """What a model was trained on, and under which licence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    licence: str
    citation: str


class BundleTraining(TrainingSummary):
    """Training run of a bundle's weights, and the steps after it.

    Attributes:
        exported: changes to the weights at export.
        calibrated: scores of the calibration on the validation split; empty before it.
    """

    model_config = ConfigDict(frozen=True)

    exported: dict[str, Any] = Field(default_factory=dict)
    calibrated: dict[str, Any] = Field(default_factory=dict)


class Manifest(BaseModel):
    """The contract between export, which writes it, and serving, which reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str
    version: str
    created: str = Field(description="UTC, ISO 8601")
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    preprocessing_probe: tuple[int, ...] = Field(description="what `preprocessing.pipeline.probe` gave at export")
    tta: Mode = "none"
    tta_auto_confidence: float = Field(0.9, ge=0, le=1, description="`auto` looks again below this confidence")
    temperature: float = Field(gt=0)
    tta_temperature: float | None = Field(None, gt=0, description="of the mean of several views; None is `temperature`")
    foreign_temperature: float | None = Field(
        None, gt=0, description="where a picture is unlike the training pictures; None is `temperature`"
    )
    label_prior: tuple[float, ...] | None = Field(
        None, description="class shares where the probabilities are calibrated"
    )
    review: ReviewThresholds
    gradcam_layer: str
    opset: int
    parity: dict[str, float] = Field(description="largest differences between Keras and ONNX Runtime that export saw")
    training: BundleTraining | None = Field(None, description="training run; null for a model of unknown origin")
    data: DataSource
    versions: dict[str, str]
    graphs: dict[Graph, dict[str, Any]] = Field({}, description="what was measured of each further graph on offer")
    files: dict[str, str] = Field(description="SHA-256 of each file, hexadecimal")

    def temperature_of(self, views: int, *, foreign: bool = False) -> float:
        """Temperature of the mean logits of so many views, of a picture like or unlike the training pictures."""
        known = self.temperature if views == 1 or self.tta_temperature is None else self.tta_temperature
        if not foreign or self.foreign_temperature is None:
            return known
        return self.foreign_temperature * known / self.temperature


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest was read and whose files were checked."""

    path: Path
    manifest: Manifest

    @classmethod
    def load(cls, path: Path) -> Bundle:
        """Read and check a bundle.

        Raises:
            BundleMissing: no folder, no manifest, or a file that the manifest names is not there.
            BundleCorrupted: the manifest is no valid manifest, or a file's hash differs from it.
            BundleMismatch: other labels than this code's, or this code prepares images otherwise.
        """
        manifest_path = path / MANIFEST
        if not manifest_path.is_file():
            raise BundleMissing(f"no {MANIFEST} in {path}; a bundle is a folder that `wbc export` wrote")
        try:
            manifest = Manifest.model_validate_json(manifest_path.read_bytes())
        except ValidationError as error:
            raise BundleCorrupted(f"{manifest_path} is no manifest of this version: {error}") from error
        for name, expected in manifest.files.items():
            file = path / name
            if not file.is_file():
                raise BundleMissing(f"{path} lacks {name}, which its manifest names")
            if (found := sha256(file)) != expected:
                raise BundleCorrupted(f"{file} has SHA-256 {found}; the manifest promises {expected}")
        if ONNX not in manifest.files:
            raise BundleCorrupted(f"the manifest of {path} names no {ONNX}")
        if manifest.labels != CLASSES:
            raise BundleMismatch(f"the bundle's labels are {', '.join(manifest.labels)}; expected {', '.join(CLASSES)}")
        seen = probe(Preprocessor(manifest.preprocessing))
        if len(seen) != len(manifest.preprocessing_probe):
            raise BundleMismatch(f"the probe has {len(manifest.preprocessing_probe)} levels; expected {len(seen)}")
        apart = max(abs(a - b) for a, b in zip(seen, manifest.preprocessing_probe, strict=True))
        if apart > PROBE_TOLERANCE:
            raise BundleMismatch(
                "this code prepares images otherwise than the model was trained with: the probe differs by "
                f"{apart} levels, at most {PROBE_TOLERANCE} are accepted; export the model again or install the "
                "version that wrote it"
            )
        return cls(path, manifest)

    def with_tta(self, tta: Mode | None) -> Bundle:
        """Return this bundle with other test-time augmentation; None keeps its own."""
        return self if tta is None else replace(self, manifest=self.manifest.model_copy(update={"tta": tta}))

    @property
    def onnx_path(self) -> Path:
        """The graph in single precision."""
        return self.path / ONNX

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The graphs that this bundle offers, single precision first."""
        return tuple(graph for graph, name in GRAPHS.items() if name in self.manifest.files)

    def graph_path(self, graph: Graph) -> Path:
        """The graph in a precision.

        Raises:
            BundleMissing: the bundle does not offer it.
        """
        if graph not in self.graphs:
            raise BundleMissing(
                f"{self.path} offers no {graph} graph; it has {', '.join(self.graphs)}, "
                "and `wbc quantize` adds further ones where they pass their gate"
            )
        return self.path / GRAPHS[graph]

    @property
    def keras_path(self) -> Path:
        """The Keras model.

        Raises:
            BundleMissing: the bundle was made without it.
        """
        if KERAS not in self.manifest.files:
            raise BundleMissing(f"{self.path} holds no {KERAS}; Grad-CAM on the Keras graph needs it")
        return self.path / KERAS

    @property
    def familiarity_path(self) -> Path | None:
        """Statistics of the embeddings; None where the bundle was made without them."""
        return self.path / FAMILIARITY if FAMILIARITY in self.manifest.files else None

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the manifest, hexadecimal; through it of every file."""
        return sha256(self.path / MANIFEST)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into a bundle's folder, in one step."""
    new = path / f"new.{MANIFEST}"
    new.write_text(json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
    new.replace(path / MANIFEST)
