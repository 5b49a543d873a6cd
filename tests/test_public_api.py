"""Public names of `wbc`, and modules that importing it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import wbc


def test_names() -> None:
    assert dir(wbc) == [
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
    assert all(getattr(wbc, name).__name__ == name for name in dir(wbc))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        wbc.Nothing  # noqa: B018


def test_no_keras_or_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys, wbc; assert 'numpy' not in sys.modules; [getattr(wbc, name) for name in dir(wbc)]; "
        "print({'keras', 'tensorflow', 'jax'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
