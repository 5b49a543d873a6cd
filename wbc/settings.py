"""The only reader of the environment. Every setting is a `WBC_*` variable and has a default."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parent.parent


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
    max_pixels: PositiveInt = Field(40_000_000, description="largest image that is decoded")
    threads: int = Field(0, ge=0, description="threads of one forward pass; 0 takes the CPU quota")
    max_batch_size: int = Field(32, ge=2, description="most images in one forward pass of the service")
    max_concurrency: PositiveInt = Field(64, description="requests in progress before 429 is answered")
    request_timeout_s: PositiveFloat = Field(60.0, description="longest time a request may take")
    api_key: SecretStr | None = Field(None, description="key that requests must bring in the header X-API-Key")
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


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process."""
    return Settings()
