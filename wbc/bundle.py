"""Model bundle on disk: manifest, weights and graphs; loading checks the hash of each file.

<bundle>/
  manifest.json      written by export
  model.onnx         graph for serving
  model.int8.onnx    the same network in 8-bit integers; only if it passed the checks of `wbc quantize`
  model.fp16.onnx    the same network in half precision, for GPUs; likewise
  model.keras        Keras model, for Grad-CAM on any layer
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

from wbc.adaptation.cell_size import CellSize
from wbc.adaptation.review import ReviewThresholds
from wbc.adaptation.tta import Mode
from wbc.atomic import replaced_atomically
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
"""File of each graph by precision; every bundle has the first."""

PROBE_TOLERANCE = 3
"""Tolerated difference of the probe, in levels of 255: releases of OpenCV round differently."""


class DataSource(BaseModel):
    """Training data of a model and its licence."""

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
    """Description of a model; written by export, read by serving."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str
    version: str
    created: str = Field(description="UTC, ISO 8601")
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    preprocessing_probe: tuple[int, ...] = Field(description="result of `preprocessing.pipeline.probe` at export")
    tta: Mode = "none"
    tta_auto_confidence: float = Field(0.9, ge=0, le=1, description="`auto` adds views below this confidence")
    temperature: float = Field(gt=0)
    tta_temperature: float | None = Field(None, gt=0, description="of the mean of several views; None is `temperature`")
    foreign_temperature: float | None = Field(
        None, gt=0, description="where a picture is unlike the training pictures; None is `temperature`"
    )
    cell_size: CellSize | None = Field(None, description="use of the cell's diameter, measured in red cells")
    label_prior: tuple[float, ...] | None = Field(
        None, description="class shares where the probabilities are calibrated"
    )
    review: ReviewThresholds
    gradcam_layer: str
    opset: int
    parity: dict[str, float] = Field(description="largest differences between Keras and ONNX Runtime at export")
    training: BundleTraining | None = Field(None, description="training run; null for a model of unknown origin")
    data: DataSource
    versions: dict[str, str]
    graphs: dict[Graph, dict[str, Any]] = Field({}, description="measurements of each further graph")
    files: dict[str, str] = Field(description="SHA-256 of each file, hexadecimal")

    def temperature_of(self, views: int, *, foreign: bool = False) -> float:
        """Temperature of the mean logits of so many views, of a picture like or unlike the training pictures."""
        known = self.temperature if views == 1 or self.tta_temperature is None else self.tta_temperature
        if not foreign or self.foreign_temperature is None:
            return known
        return self.foreign_temperature * known / self.temperature


@dataclass(frozen=True)
class Bundle:
    """A bundle with its manifest; the files have been checked."""

    path: Path
    manifest: Manifest

    @classmethod
    def load(cls, path: Path) -> Bundle:
        """Read and check a bundle.

        Raises:
            BundleMissing: the folder, the manifest or a file named in it does not exist.
            BundleCorrupted: the manifest is invalid, or a file has another hash.
            BundleMismatch: the bundle has other labels, or this code prepares images differently.
        """
        manifest_path = path / MANIFEST
        if not manifest_path.is_file():
            raise BundleMissing(f"no {MANIFEST} in {path}; expected a folder written by `wbc export`")
        try:
            manifest = Manifest.model_validate_json(manifest_path.read_bytes())
        except ValidationError as error:
            raise BundleCorrupted(f"{manifest_path} is not a manifest of this version: {error}") from error
        for name, expected in manifest.files.items():
            file = path / name
            if not file.is_file():
                raise BundleMissing(f"{path} has no {name}, which its manifest names")
            if (found := sha256(file)) != expected:
                raise BundleCorrupted(f"{file} has SHA-256 {found}; the manifest has {expected}")
        if ONNX not in manifest.files:
            raise BundleCorrupted(f"the manifest of {path} does not name {ONNX}")
        if manifest.labels != CLASSES:
            raise BundleMismatch(f"the bundle's labels are {', '.join(manifest.labels)}; expected {', '.join(CLASSES)}")
        seen = probe(Preprocessor(manifest.preprocessing))
        if len(seen) != len(manifest.preprocessing_probe):
            raise BundleMismatch(f"the probe has {len(manifest.preprocessing_probe)} levels; expected {len(seen)}")
        apart = max(abs(a - b) for a, b in zip(seen, manifest.preprocessing_probe, strict=True))
        if apart > PROBE_TOLERANCE:
            raise BundleMismatch(
                "this code prepares images differently from the code that trained the model: the probe differs by "
                f"{apart} levels, at most {PROBE_TOLERANCE} are accepted; export the model again or install the "
                "version that wrote it"
            )
        return cls(path, manifest)

    def with_tta(self, tta: Mode | None) -> Bundle:
        """Return this bundle with other test-time augmentation; None keeps its own."""
        return self if tta is None else replace(self, manifest=self.manifest.model_copy(update={"tta": tta}))

    @property
    def onnx_path(self) -> Path:
        """Path of the graph in single precision."""
        return self.path / ONNX

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """Graphs of this bundle, single precision first."""
        return tuple(graph for graph, name in GRAPHS.items() if name in self.manifest.files)

    def graph_path(self, graph: Graph) -> Path:
        """Return the path of a graph.

        Raises:
            BundleMissing: the bundle does not have it.
        """
        if graph not in self.graphs:
            raise BundleMissing(
                f"{self.path} has no {graph} graph, only {', '.join(self.graphs)}; "
                "`wbc quantize` adds further graphs that pass its checks"
            )
        return self.path / GRAPHS[graph]

    @property
    def keras_path(self) -> Path:
        """Path of the Keras model.

        Raises:
            BundleMissing: the bundle has none.
        """
        if KERAS not in self.manifest.files:
            raise BundleMissing(f"{self.path} has no {KERAS}; Grad-CAM on the Keras model needs it")
        return self.path / KERAS

    @property
    def familiarity_path(self) -> Path | None:
        """Path of the statistics of the embeddings; None if the bundle has none."""
        return self.path / FAMILIARITY if FAMILIARITY in self.manifest.files else None

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the manifest, hexadecimal, which contains the hash of every file."""
        return sha256(self.path / MANIFEST)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into the folder of a bundle atomically."""
    with replaced_atomically(path / MANIFEST) as new:
        new.write_text(json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
