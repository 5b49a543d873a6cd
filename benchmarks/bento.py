"""Size and memory use of the built Bentos."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import httpx
import psutil

from benchmarks.cells import load_pictures
from benchmarks.options import RESULTS, BentoOptions, Variant
from benchmarks.record import Measured, Result, read
from benchmarks.server import Server
from wbc.machine import Machine
from wbc.settings import REPOSITORY
from wbc.tables import Table

SPECS: dict[Variant, str] = {"full": "bentofile.yaml", "slim": "bentofile.slim.yaml", "gpu": "bentofile.gpu.yaml"}
LARGEST = 5


class BentoSize(Result):
    """Size of one variant; memory is the proportional set size of all processes after one response.

    Attributes:
        bento_bytes: built folder, the model included.
        model_bytes: model bundle in it.
        packages: number of installed packages.
        installed_bytes: their size with compiled bytecode, as in the image.
        largest: sizes of the largest package folders.
        memory_bytes: memory of the server, with only these packages installed.
    """

    bento_bytes: int
    model_bytes: int
    packages: int
    installed_bytes: int
    largest: dict[str, int]
    memory_bytes: int


class BentoResult(Measured):
    """`make bento-sizes`: size of each variant of the Bento."""

    kind: Literal["bento"] = "bento"
    variants: dict[Variant, BentoSize]


def measure_bentos(options: BentoOptions, machine: Machine, log: Callable[[str], None]) -> BentoResult:
    """Build each variant, install its packages in a new environment, serve it there and send one request.

    Raises:
        RuntimeError: a step failed; the message contains its output.
        httpx.HTTPStatusError: the request failed.
    """
    sizes: dict[Variant, BentoSize] = {}
    for variant in options.variant or SPECS:
        log(variant)
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


def list_bentos(result: BentoResult | None) -> str:
    """Return one row per variant of the Bento."""
    if result is None:
        return "Not measured yet: `make bento-sizes`."
    rows = []
    for variant, size in result.variants.items():
        numbers = (size.bento_bytes, size.model_bytes, size.installed_bytes, size.memory_bytes)
        bento, model, installed, memory = (f"{number / 1e6:.0f}" for number in numbers)
        largest = ", ".join(f"{name} {number / 1e6:.0f}" for name, number in list(size.largest.items())[:3])
        rows.append((variant, bento, model, size.packages, installed, largest, memory))
    head = (
        "variant",
        "Bento, MB",
        "of it the model, MB",
        "packages",
        "installed, MB",
        "largest packages",
        "memory, MB",
    )
    return Table(head, rows).markdown()


def show_bentos() -> str:
    """Return the table of docs/operations.md for a cog block."""
    return f"\n{list_bentos(read(BentoResult, RESULTS / 'bento.json'))}\n"
