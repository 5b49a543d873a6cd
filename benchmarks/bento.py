"""How large what is shipped is: each Bento, what it installs, and what it takes of memory once it answers."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import httpx
import psutil

from benchmarks.cells import pictures
from benchmarks.machine import Machine
from benchmarks.record import Measured, Result
from benchmarks.server import Server
from wbc.errors import DataError
from wbc.settings import REPOSITORY

Variant = Literal["full", "slim", "gpu"]
SPECS: dict[Variant, str] = {"full": "bentofile.yaml", "slim": "bentofile.slim.yaml", "gpu": "bentofile.gpu.yaml"}
LARGEST = 5
MARKS = ("<!-- sizes -->", "<!-- end of sizes -->")


class BentoSize(Result):
    """One variant.

    Attributes:
        bento_bytes: of the built folder, the model inside.
        model_bytes: of the model bundle in it.
        packages: how many are installed.
        installed_bytes: of them, with compiled bytecode, as in the image.
        largest: the largest of their folders, bytes.
        memory_bytes: proportional set size of all processes after one answer, served with these packages alone.
    """

    bento_bytes: int
    model_bytes: int
    packages: int
    installed_bytes: int
    largest: dict[str, int]
    memory_bytes: int


class BentoResult(Measured):
    """`make bento-sizes`."""

    kind: Literal["bento"] = "bento"
    variants: dict[Variant, BentoSize]


def measure_bentos(variants: Sequence[Variant], machine: Machine) -> BentoResult:
    """Build each variant, install what it asks for into an environment of its own, and serve it there once.

    Raises:
        RuntimeError: a step failed; the message holds what it printed.
        httpx.HTTPStatusError: it did not answer with what it installs alone.
    """
    found: dict[Variant, BentoSize] = {}
    for variant in variants:
        with tempfile.TemporaryDirectory(prefix="bento-size-") as folder:
            found[variant] = _measure(variant, Path(folder))
    return BentoResult(command="make bento-sizes", quick=False, machine=machine, variants=found)


def _measure(variant: Variant, folder: Path) -> BentoSize:
    bento = _build(variant, folder / "home")
    size, model = _bytes(bento), _bytes(bento / "src" / "models")
    python = folder / "venv" / "bin" / "python"
    _run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    requirements = bento / "env" / "python" / "requirements.txt"
    install = ("uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "-r")
    _run(sys.executable, "-m", *install, str(requirements))
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    sizes = {path.name: _bytes(path) for path in site.iterdir()}
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:LARGEST]
    return BentoSize(
        bento_bytes=size,
        model_bytes=model,
        packages=len(list(site.glob("*.dist-info"))),
        installed_bytes=sum(sizes.values()),
        largest={name: sizes[name] for name in largest},
        memory_bytes=_memory(bento, folder),
    )


def _build(variant: Variant, home: Path) -> Path:
    variables = [f"BENTOML_HOME={home}", "BENTOML_DO_NOT_TRACK=True", f"WBC_GRADCAM={variant == 'full'}"]
    build = [sys.executable, "-m", "bentoml", "build", "-f", SPECS[variant], "-o", "tag"]
    _, name, version = _run("env", *variables, *build).strip().splitlines()[-1].split(":")
    return home / "bentos" / name / version


def _memory(bento: Path, folder: Path) -> int:
    environment = {
        "BENTOML_HOME": str(folder / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
        "WBC_GRADCAM": "true" if bento.parent.name == "wbc" else "false",
    }
    command = [str(folder / "venv" / "bin" / "bentoml"), "serve", str(bento), "--host", "127.0.0.1", "--port", "{port}"]
    (cell,), _ = pictures(None, 1)
    with Server(command, folder / "serve.log", environment, directory=folder) as server:
        httpx.post(f"{server.url}/predict", files={"file": cell}, timeout=60).raise_for_status()
        supervisor = psutil.Process(server.process.pid)
        return sum(one.memory_full_info().pss for one in (supervisor, *supervisor.children(recursive=True)))


def table(result: BentoResult | None) -> str:
    """The variants as Markdown."""
    if result is None:
        return "Not measured yet: `make bento-sizes`."
    lines = [
        "| variant | Bento, MB | model in it, MB | packages | installed, MB | largest of them | memory, MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for variant, size in result.variants.items():
        numbers = [size.bento_bytes, size.model_bytes, size.installed_bytes, size.memory_bytes]
        bento, model, installed, memory = (f"{number / 1e6:.0f}" for number in numbers)
        largest = ", ".join(f"{name} {number / 1e6:.0f}" for name, number in list(size.largest.items())[:3])
        lines.append(f"| {variant} | {bento} | {model} | {size.packages} | {installed} | {largest} | {memory} |")
    return "\n".join(lines)


def with_table(text: str, result: BentoResult | None) -> str:
    """A document with the table between its marks renewed.

    Raises:
        DataError: the marks are not there, or more than once.
    """
    start, end = (re.escape(mark) for mark in MARKS)
    made = f"{MARKS[0]}\n\n{table(result)}\n\n{MARKS[1]}"
    renewed, count = re.subn(f"{start}.*?{end}", lambda _: made, text, flags=re.DOTALL)
    if count != 1:
        raise DataError(f"{count} places are marked with {' and '.join(MARKS)}; expected one")
    return renewed


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout
