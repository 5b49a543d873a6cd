"""White-blood-cell classification.

    import wbc

    analyzer = wbc.Analyzer.load()
    print(analyzer.analyze(open("cell.jpg", "rb").read()).label)

The names are imported on first use. None of them needs Keras or TensorFlow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wbc.analysis import Analysis
    from wbc.analyzer import Analyzer
    from wbc.bundle import Bundle
    from wbc.errors import (
        BundleError,
        DeviceUnavailable,
        ImageTooLarge,
        InputError,
        MalformedImage,
        ModelError,
        UnreadableFile,
        UnsupportedFormat,
        WBCError,
    )

__all__ = [
    "Analysis",
    "Analyzer",
    "Bundle",
    "BundleError",
    "DeviceUnavailable",
    "ImageTooLarge",
    "InputError",
    "MalformedImage",
    "ModelError",
    "UnreadableFile",
    "UnsupportedFormat",
    "WBCError",
]

_MODULES = {"Analysis": "wbc.analysis", "Analyzer": "wbc.analyzer", "Bundle": "wbc.bundle"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'wbc' has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "wbc.errors")), name)


def __dir__() -> list[str]:
    return __all__
