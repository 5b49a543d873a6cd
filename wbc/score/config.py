"""Configuration of a scoring run; its fields become the options of `wbc score`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ScoreConfig(BaseModel):
    """Options of `wbc score`; graph, device, threads and views come from the settings."""

    model_config = ConfigDict(frozen=True)

    input: str = Field(description="folder, text file of paths, or glob pattern; see `inputs.find_sources`")
    output: Path = Field(description="folder of the Parquet parts")
    bundle: Path | None = Field(
        None, description="folder of the model bundle", json_schema_extra={"shown_default": "default: WBC_BUNDLE"}
    )
    engine: Literal["local", "ray"] = Field("local", description="this process, or actors on Ray")
    batch_size: int = Field(32, ge=1, description="maximum number of views in a forward pass")
    workers: int = Field(
        0,
        ge=0,
        description="threads that decode and prepare, or actors on Ray",
        json_schema_extra={"shown_default": "default: 0, one per core"},
    )
    ray_address: str | None = Field(
        None,
        description="address of a running Ray cluster",
        json_schema_extra={"shown_default": "default: start one on this machine"},
    )
    report: Path | None = Field(None, description="JSON file to which the run's time and throughput are added")
