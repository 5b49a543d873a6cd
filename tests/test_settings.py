"""Settings: defaults, the environment, and values that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from wbc.settings import REPOSITORY, Settings, settings


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any setting."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"WBC_{name.upper()}", raising=False)
    return monkeypatch


def test_defaults_serve_what_is_shipped(bare: pytest.MonkeyPatch) -> None:
    read = Settings()
    assert read.bundle == REPOSITORY / "models" / "default"
    assert read.max_pixels == 40_000_000
    assert read.max_body_bytes == 10 * 1024 * 1024
    assert read.openai_api_key is None
    assert read.gemini_api_key is None


def test_every_setting_has_a_default_and_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert not field.is_required(), name
        assert field.description, name


def test_environment_is_read(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("WBC_BUNDLE", str(tmp_path))
    bare.setenv("WBC_MAX_PIXELS", "1000")
    bare.setenv("WBC_GRADCAM", "false")
    read = Settings()
    assert (read.bundle, read.max_pixels, read.gradcam) == (tmp_path, 1000, False)


def test_other_prefixes_are_not_read(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("MAX_PIXELS", "1000")
    assert Settings().max_pixels == 40_000_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WBC_MAX_PIXELS", "0"),
        ("WBC_MAX_PIXELS", "many"),
        ("WBC_MAX_BODY_BYTES", "-1"),
        ("WBC_MAX_BATCH_SIZE", "1"),
        ("WBC_THREADS", "-1"),
        ("WBC_REQUEST_TIMEOUT_S", "0"),
        ("WBC_UPLOAD_TIMEOUT_S", "0"),
        ("WBC_MAX_UPLOADS", "0"),
        ("WBC_MAX_FILES", "0"),
        ("WBC_MAX_BATCH_BODY_BYTES", "0"),
        ("WBC_LOG_FORMAT", "xml"),
        ("WBC_LOG_LEVEL", "loud"),
        ("WBC_CORS_ORIGINS", "*"),
        ("WBC_CORS_ORIGINS", "lab.example"),
        ("WBC_CORS_ORIGINS", "https://lab.example/"),
        ("WBC_CORS_ORIGINS", "https://*.lab.example"),
        ("WBC_CORS_ORIGINS", "null"),
        ("WBC_GRADCAM", "perhaps"),
        ("WBC_OPENAI_PRESET", "somebody"),
    ],
)
def test_value_of_another_kind_or_range_is_refused(bare: pytest.MonkeyPatch, name: str, value: str) -> None:
    bare.setenv(name, value)
    with pytest.raises(ValidationError, match=name.removeprefix("WBC_").lower()):
        Settings()


@pytest.mark.parametrize(
    ("given", "origins"),
    [
        ("", ()),
        ("https://lab.example", ("https://lab.example",)),
        ("http://localhost:8000, https://lab.example:8443,", ("http://localhost:8000", "https://lab.example:8443")),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
    ],
)
def test_origins_are_separated_by_commas(bare: pytest.MonkeyPatch, given: str, origins: tuple[str, ...]) -> None:
    bare.setenv("WBC_CORS_ORIGINS", given)
    assert Settings().cors_origins == origins


@pytest.mark.parametrize("name", ["WBC_OPENAI_API_KEY", "WBC_GEMINI_API_KEY"])
def test_keys_are_not_shown(bare: pytest.MonkeyPatch, name: str) -> None:
    bare.setenv(name, "not-a-real-key")
    read = Settings()
    assert "not-a-real-key" not in repr(read)
    assert "not-a-real-key" not in read.model_dump_json()


def test_settings_cannot_be_changed_and_are_read_once(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings().max_pixels = 1  # type: ignore[misc]
    assert settings() is settings()
