"""Options of the benchmark commands; the fields become command-line options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from wbc.settings import REPOSITORY, Graph

RESULTS = REPOSITORY / "results" / "bench"
DOCUMENT = REPOSITORY / "docs" / "performance.md"
Variant = Literal["full", "slim", "gpu"]


def load_file(graph: str) -> str:
    """Return the name of the result file of a graph's load test."""
    return "load.json" if graph == "fp32" else f"load-{graph}.json"


def _describe(text: str, default: str) -> Any:
    return Field(description=text, json_schema_extra={"shown_default": f"default: {default}"})


BundleFolder = Annotated[Path | None, _describe("folder of the model bundle", "WBC_BUNDLE")]
ImageFolder = Annotated[Path | None, _describe("folder of image files", "drawn cells")]
DataRoot = Annotated[Path | None, _describe("folder of the splits", "drawn cells")]


class Options(BaseModel):
    """Options that several benchmarks share."""

    model_config = ConfigDict(frozen=True)

    quick: bool = Field(False, description="run briefly, to check that everything works; the numbers mean little")


class LatencyOptions(Options):
    """Options of `wbc bench latency`."""

    bundle: BundleFolder = None
    graph: Annotated[tuple[Graph, ...], _describe("graph to time, repeatable", "all")] = ()
    images: ImageFolder = None
    output: Annotated[Path, _describe("result file, JSON", "results/bench/latency.json")] = RESULTS / "latency.json"


class FilterOptions(Options):
    """Options of `wbc bench preprocessing`."""

    images: ImageFolder = None
    output: Annotated[Path, _describe("result file, JSON", "results/bench/preprocessing.json")] = (
        RESULTS / "preprocessing.json"
    )


class LoadOptions(Options):
    """Options of `wbc bench load`."""

    bundle: BundleFolder = None
    graph: Graph = Field("fp32", description="graph to serve")
    images: ImageFolder = None
    arrivals: Literal["poisson", "constant"] = Field(
        "poisson", description="intervals between requests of an open load"
    )
    naive: bool = Field(True, description="also measure the naive Keras server")
    output: Path = Field(
        default_factory=lambda values: RESULTS / load_file(values["graph"]),
        description="result file, JSON",
        json_schema_extra={"shown_default": "default: results/bench/load.json, or load-GRAPH.json for another graph"},
    )


class PipelineOptions(Options):
    """Options of `wbc bench pipeline`."""

    data_root: DataRoot = None
    output: Annotated[Path, _describe("result file, JSON", "results/bench/pipeline.json")] = RESULTS / "pipeline.json"


class BentoOptions(BaseModel):
    """Options of `wbc bench bento`."""

    model_config = ConfigDict(frozen=True)

    variant: Annotated[tuple[Variant, ...], _describe("variant, repeatable", "all")] = ()
    output: Annotated[Path, _describe("result file, JSON", "results/bench/bento.json")] = RESULTS / "bento.json"


class AllOptions(Options):
    """Options of `wbc bench all`."""

    bundle: BundleFolder = None
    images: ImageFolder = None
    data_root: DataRoot = None
    results_dir: Annotated[Path, _describe("folder for the results, one JSON file each", "results/bench")] = RESULTS
    document: Annotated[Path, _describe("Markdown file whose tables are updated", "docs/performance.md")] = DOCUMENT
