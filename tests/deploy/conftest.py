"""The Bentos, built like `make bento`, `make bento-slim` and `make bento-gpu` in a temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.served import ROOT

SPECS = {"full": "bentofile.yaml", "slim": "bentofile.slim.yaml", "gpu": "bentofile.gpu.yaml"}


@dataclass(frozen=True)
class BuiltBento:
    """A built Bento."""

    folder: Path

    @cached_property
    def info(self) -> dict[str, Any]:
        """Content of `bento.yaml`."""
        found: dict[str, Any] = yaml.safe_load((self.folder / "bento.yaml").read_text())
        return found

    @cached_property
    def dockerfile(self) -> str:
        """Generated Dockerfile."""
        return (self.folder / "env" / "docker" / "Dockerfile").read_text()

    @cached_property
    def requirements(self) -> str:
        """Packages that the image installs."""
        return (self.folder / "env" / "python" / "requirements.txt").read_text()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that the image sets; outside a container the caller sets them."""
        return {env["name"]: env["value"] for env in self.info["envs"]}


@pytest.fixture(scope="session")
def bento_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bentoml-home")


def build(variant: str, home: Path) -> BuiltBento:
    environment = {**os.environ, "BENTOML_HOME": str(home), "WBC_GRADCAM": "true" if variant == "full" else "false"}
    command = [sys.executable, "-m", "bentoml", "build", "-f", SPECS[variant], "-o", "tag"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _, name, version = done.stdout.strip().splitlines()[-1].split(":")
    return BuiltBento(home / "bentos" / name / version)


@pytest.fixture(scope="session")
def slim_bento(bento_home: Path) -> BuiltBento:
    return build("slim", bento_home)


@pytest.fixture(scope="session", params=SPECS)
def bento(request: pytest.FixtureRequest, bento_home: Path) -> BuiltBento:
    """Each variant."""
    if request.param == "slim":
        slim: BuiltBento = request.getfixturevalue("slim_bento")
        return slim
    return build(request.param, bento_home)
