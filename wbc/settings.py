"""The only reader of the environment. Every setting is a `WBC_*` variable and has a default."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parent.parent

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
Graph = Literal["fp32", "int8", "fp16"]


class Settings(BaseSettings):
    """Settings of the library and of the services, read once for each process.

    Raises:
        pydantic.ValidationError: a variable has a value of the wrong type or out of range.
    """

    model_config = SettingsConfigDict(env_prefix="WBC_", frozen=True)

    bundle: Path = Field(REPOSITORY / "models" / "default", description="folder of the model bundle that is served")
    data_root: Path = Field(
        REPOSITORY.parent / "shared" / "data" / "smears",
        description="folder of the image splits, one folder a class inside each",
    )
    max_body_bytes: PositiveInt = Field(10 * 1024 * 1024, description="largest request body that is read")
    max_batch_body_bytes: PositiveInt = Field(
        64 * 1024 * 1024, description="largest body of `POST /predict/batch` that is read"
    )
    max_files: PositiveInt = Field(64, description="most files in one `POST /predict/batch`")
    max_pixels: PositiveInt = Field(40_000_000, description="largest image that is decoded")
    device: Device = Field("auto", description="what the graph runs on; `auto` takes CUDA where it works, else the CPU")
    graph: Graph = Field(
        "fp32", description="precision of the graph that serves; the bundle has to offer it, and int8 is for CPUs"
    )
    threads: int = Field(
        0,
        ge=0,
        description="threads of one forward pass; 0 takes half of the CPU quota in the service, all of it elsewhere",
    )
    max_batch_size: int = Field(8, ge=2, description="most images in one forward pass of the service")
    max_concurrency: PositiveInt = Field(64, description="images in progress before 429 is answered")
    max_uploads: PositiveInt = Field(128, description="request bodies being received before 429 is answered")
    upload_timeout_s: PositiveFloat = Field(30.0, description="longest time in which a request body has to arrive")
    request_timeout_s: PositiveFloat = Field(60.0, description="longest time a request may take once its body is there")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins whose pages may call this service, exact and separated by commas; empty allows none"
    )
    log_format: Literal["json", "text"] = Field("json", description="form of the service's log lines")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged; `info` has a line a request"
    )
    api_key: SecretStr | None = Field(None, description="key that requests must bring in the header X-API-Key")
    tta: Literal["none", "light", "auto"] | None = Field(
        None, description="views of an image, `none`, `light` or `auto`; the bundle's where it is not set"
    )
    gradcam: bool = Field(True, description="load the Keras graph beside the ONNX graph, for Grad-CAM on any layer")

    explain_timeout_s: PositiveFloat = Field(8.0, description="longest time of a report, over all providers")
    explain_send_image: bool = Field(True, description="send the overlay beside the facts; false sends facts alone")
    explain_concurrency: PositiveInt = Field(4, description="requests to language models in progress")
    explain_cache_size: int = Field(256, ge=0, description="reports that are kept; 0 keeps none")
    explain_breaker_failures: PositiveInt = Field(3, description="failures in a row that open a provider's circuit")
    explain_breaker_cooldown_s: PositiveFloat = Field(60.0, description="how long a circuit stays open")
    openai_preset: Literal["openai/gpt-4o", "local"] = Field(
        "openai/gpt-4o", description="base URL and model of the OpenAI-compatible provider; `local` needs no key"
    )
    openai_base_url: str | None = Field(None, description="base URL in place of the preset's")
    openai_model: str | None = Field(None, description="model in place of the preset's")
    openai_api_key: SecretStr | None = Field(None, description="key of that provider; without one it is left out")
    openai_timeout_s: PositiveFloat = Field(20.0, description="longest wait for it, within `explain_timeout_s`")
    gemini_model: str = Field("gemini-2.5-flash", description="model of the Gemini provider")
    gemini_base_url: str | None = Field(None, description="base URL in place of the SDK's own")
    gemini_api_key: SecretStr | None = Field(None, description="key of the Gemini provider; without one it is left out")
    gemini_timeout_s: PositiveFloat = Field(20.0, description="longest wait for it, within `explain_timeout_s`")

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _exact_origins(cls, given: Any) -> Any:
        origins = [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given
        for origin in origins:
            if not re.fullmatch(r"https?://[A-Za-z0-9.\-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?", origin):
                raise ValueError(f"{origin!r} is no origin; `scheme://host` or `scheme://host:port` is accepted")
        return tuple(origins)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process."""
    return Settings()


def keep_usage_private() -> None:
    """Tell Ray not to report usage to its makers, unless the environment says otherwise; it has no argument for it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
