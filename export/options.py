"""Options of `wbc export` and `wbc quantize`; the fields become command-line options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from wbc.adaptation.tta import Mode
from wbc.settings import settings

ReducedPrecision = Literal["int8", "fp16"]

DataRoot = Annotated[
    Path,
    Field(
        default_factory=lambda: settings().data_root,
        description="folder of the splits",
        json_schema_extra={"shown_default": "default: WBC_DATA_ROOT"},
    ),
]
Limit = Annotated[int, Field(ge=0, description="maximum number of Val images per class; 0 takes all")]


class Options(BaseModel):
    """Base class of the options: immutable, unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ExportOptions(Options):
    """Options of `wbc export`. `Val` is used for calibration and for comparing the graph with the Keras model."""

    run: Path = Field(description="results folder of a training run")
    output: Path = Field(
        default_factory=lambda: settings().bundle,
        description="folder of the bundle",
        json_schema_extra={"shown_default": "default: WBC_BUNDLE"},
    )
    data_root: DataRoot
    name: str = Field("densenet121-wbc", description="name of the bundle")
    bundle_version: str = Field("1", description="version of the bundle")
    half: bool = Field(
        True,
        description="round the weights to half precision (default), or do not",
        json_schema_extra={"opposite": "single"},
    )
    tta: Mode = Field("none", description="test-time augmentation")
    limit: Limit = 0


class QuantizeOptions(Options):
    """Options of `wbc quantize`."""

    bundle: Path = Field(description="folder of the bundle")
    graph: ReducedPrecision = Field("int8", description="8-bit integers for CPUs, or half precision for GPUs")
    data_root: DataRoot
    train_split: str = Field("Train", description="folder of the calibration images of int8")
    calibration_images: int = Field(40, ge=1, description="number of calibration images per class, evenly spaced")
    limit: Limit = 0
    rounds: int = Field(30, ge=3, description="number of timed forward passes per batch size")
    threads: int = Field(0, ge=0, description="threads of a forward pass; 0 takes the CPU quota")
    report: Path = Field(
        default_factory=lambda values: Path("results/bench") / f"{values['graph']}.json",
        description="result file, JSON",
        json_schema_extra={"shown_default": "default: results/bench/GRAPH.json"},
    )
    exit_zero: bool = Field(False, description="exit with 0 even if the graph does not pass")
