"""Size and memory use of the built Bentos."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil

from benchmarks.cells import load_pictures
from benchmarks.machine import Machine
from benchmarks.record import BentoResult, BentoSize, Variant
from benchmarks.server import Server
from wbc.settings import REPOSITORY

SPECS: dict[Variant, str] = {"full": "bentofile.yaml", "slim": "bentofile.slim.yaml", "gpu": "bentofile.gpu.yaml"}
LARGEST = 5


def measure_bentos(variants: Sequence[Variant], machine: Machine) -> BentoResult:
    """Build each variant, install its packages in a new environment, serve it there and send one request.

    Raises:
        RuntimeError: a step failed; the message contains its output.
        httpx.HTTPStatusError: the request failed.
    """
    sizes: dict[Variant, BentoSize] = {}
    for variant in variants:
        with tempfile.TemporaryDirectory(prefix="bento-size-") as folder:
            sizes[variant] = _measure(variant, Path(folder))
    return BentoResult(command="make bento-sizes", quick=False, machine=machine, variants=sizes)


def _measure(variant: Variant, folder: Path) -> BentoSize:
    variables = {
        "BENTOML_HOME": str(folder / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
        "WBC_GRADCAM": "true" if variant == "full" else "false",
    }
    words = [f"{name}={value}" for name, value in variables.items()]
    tag = _run("env", *words, sys.executable, "-m", "bentoml", "build", "-f", SPECS[variant], "-o", "tag")
    _, name, version = tag.strip().splitlines()[-1].split(":")
    bento = folder / "home" / "bentos" / name / version
    python = folder / "venv" / "bin" / "python"
    _run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    requirements = bento / "env" / "python" / "requirements.txt"
    install = ("uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "-r")
    _run(sys.executable, "-m", *install, str(requirements))
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    sizes = {path.name: _count_bytes(path) for path in site.iterdir()}
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:LARGEST]
    return BentoSize(
        bento_bytes=_count_bytes(bento),
        model_bytes=_count_bytes(bento / "src" / "models"),
        packages=len(list(site.glob("*.dist-info"))),
        installed_bytes=sum(sizes.values()),
        largest={name: sizes[name] for name in largest},
        memory_bytes=_measure_memory(bento, folder, variables),
    )


def _measure_memory(bento: Path, folder: Path, environment: dict[str, str]) -> int:
    command = [str(folder / "venv" / "bin" / "bentoml"), "serve", str(bento), "--host", "127.0.0.1", "--port", "{port}"]
    (cell,), _ = load_pictures(None, 1)
    with Server(command, folder / "serve.log", environment, directory=folder) as server:
        httpx.post(f"{server.url}/predict", files={"file": cell}, timeout=60).raise_for_status()
        supervisor = psutil.Process(server.process.pid)
        return sum(one.memory_full_info().pss for one in (supervisor, *supervisor.children(recursive=True)))


def _count_bytes(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout
