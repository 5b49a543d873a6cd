"""Settings from the environment. No other module reads it; every setting is a `WBC_*` variable with a default."""

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
    """Settings of the library and the services, read once per process.

    Raises:
        pydantic.ValidationError: a variable has a wrong type or is out of range.
    """

    model_config = SettingsConfigDict(env_prefix="WBC_", frozen=True)

    bundle: Path = Field(REPOSITORY / "models" / "default", description="folder of the model bundle")
    data_root: Path = Field(
        REPOSITORY.parent / "shared" / "data" / "smears",
        description="folder of the image splits, each with one folder per class",
    )
    max_body_bytes: PositiveInt = Field(10 * 1024 * 1024, description="maximum size of a request body")
    max_batch_body_bytes: PositiveInt = Field(
        64 * 1024 * 1024, description="maximum size of the body of `POST /predict/batch`"
    )
    max_files: PositiveInt = Field(64, description="maximum number of files in one `POST /predict/batch`")
    max_pixels: PositiveInt = Field(40_000_000, description="maximum number of pixels of an image")
    device: Device = Field("auto", description="device of the graph; `auto` takes CUDA if it works, else the CPU")
    graph: Graph = Field("fp32", description="precision of the graph, one that the bundle has; int8 runs on CPUs only")
    threads: int = Field(
        0,
        ge=0,
        description="threads of a forward pass; 0 takes half of the CPU quota in the service and all of it elsewhere",
    )
    max_batch_size: int = Field(8, ge=2, description="maximum number of views in one forward pass of the service")
    max_concurrency: PositiveInt = Field(64, description="maximum number of images in progress; beyond it, 429")
    max_uploads: PositiveInt = Field(128, description="maximum number of concurrent uploads; beyond it, 429")
    upload_timeout_s: PositiveFloat = Field(30.0, description="time limit for receiving a request body")
    request_timeout_s: PositiveFloat = Field(60.0, description="time limit for a request after its body has arrived")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="exact origins whose pages may call this service, separated by commas; empty allows none"
    )
    log_format: Literal["json", "text"] = Field("json", description="format of the service's log")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="minimum level of the service's log; `info` logs every request"
    )
    api_key: SecretStr | None = Field(None, description="key that requests must send in the header X-API-Key")
    tta: Literal["none", "light", "auto"] | None = Field(
        None, description="test-time augmentation, `none`, `light` or `auto`; unset takes the bundle's"
    )
    gradcam: bool = Field(True, description="also load the Keras model, for Grad-CAM on any layer")

    explain_timeout_s: PositiveFloat = Field(8.0, description="time limit for a report, over all providers")
    explain_send_image: bool = Field(True, description="send the overlay with the facts; false sends only the facts")
    explain_concurrency: PositiveInt = Field(4, description="maximum number of concurrent requests to language models")
    explain_cache_size: int = Field(256, ge=0, description="number of cached reports; 0 disables the cache")
    explain_breaker_failures: PositiveInt = Field(3, description="consecutive failures that open a provider's circuit")
    explain_breaker_cooldown_s: PositiveFloat = Field(60.0, description="time for which a circuit stays open")
    openai_preset: Literal["openai/gpt-4o", "local"] = Field(
        "openai/gpt-4o", description="base URL and model of the OpenAI-compatible provider; `local` needs no key"
    )
    openai_base_url: str | None = Field(None, description="base URL; unset takes that of the preset")
    openai_model: str | None = Field(None, description="model; unset takes that of the preset")
    openai_api_key: SecretStr | None = Field(None, description="key of that provider; unset disables it")
    openai_timeout_s: PositiveFloat = Field(20.0, description="time limit of a request, within `explain_timeout_s`")
    gemini_model: str = Field("gemini-3.5-flash-lite", description="model of the Gemini provider")
    gemini_base_url: str | None = Field(None, description="base URL; unset takes that of the SDK")
    gemini_api_key: SecretStr | None = Field(None, description="key of the Gemini provider; unset disables it")
    gemini_timeout_s: PositiveFloat = Field(20.0, description="time limit of a request, within `explain_timeout_s`")

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _exact_origins(cls, given: Any) -> Any:
        origins = [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given
        for origin in origins:
            if not re.fullmatch(r"https?://[A-Za-z0-9.\-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?", origin):
                raise ValueError(f"{origin!r} is not an origin; `scheme://host` or `scheme://host:port` is accepted")
        return tuple(origins)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process."""
    return Settings()


def keep_usage_private() -> None:
    """Disable the usage statistics of Ray, which has no argument for it, unless the environment enables them."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
