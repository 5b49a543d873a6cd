"""Import rules: the imports in the source agree with the layers of the design."""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("wbc", "training", "evaluation", "export", "benchmarks")

LAYERS = (
    ("wbc.labels", "wbc.errors", "wbc.settings", "wbc.cpu", "wbc.logs", "wbc.process", "wbc.atomic"),
    ("wbc.machine",),
    ("wbc.images", "wbc.preprocessing", "wbc.adaptation", "wbc.nn", "wbc.differential", "wbc.tables"),
    ("wbc.explain", "wbc.files", "wbc.run_record"),
    ("wbc.bundle", "wbc.data"),
    ("wbc.inference", "wbc.saliency"),
    ("wbc.analysis",),
    ("wbc.analyzer",),
    ("wbc.schemas", "wbc.score"),
    ("wbc.http", "wbc.cli"),
    ("wbc.serving",),
    ("service",),
)
"""Layers from the lowest to the highest; a module may import lower layers and its own package."""

ABOVE_WBC = {
    "training": {"wbc", "training"},
    "evaluation": {"wbc", "evaluation"},
    "export": {"wbc", "export", "evaluation"},
    "benchmarks": {"wbc", "benchmarks", "training"},
}
"""Packages of this project that each package above the library may import."""

KERAS = ("keras", "tensorflow", "jax", "h5py", "tf2onnx", "onnx")
KERAS_FILES = (
    "wbc/nn/*.py",
    "wbc/saliency/gradcam.py",
    "wbc/saliency/closed_form.py",
    "training/*",
    "evaluation/*",
    "export/*",
    "benchmarks/naive.py",  # a process of its own
)
BRINGS_KERAS = ("wbc.nn.*", "wbc.saliency.gradcam*", "wbc.saliency.closed_form*")
KERAS_INSIDE = {"service.py": "GradCam.__init__", "wbc/cli/gradcam.py": "?*"}
"""Functions that import Keras; a process that does not call them does not load it."""

ONLY_IN = {
    "onnxruntime": ("wbc/inference.py", "training/backbones.py", "training/compare.py", "export/quantize.py"),
    "bentoml": ("service.py",),
    "click": ("*cli.py", "wbc/cli/*.py"),
}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module as it is written, and where.

    Attributes:
        file: path from the repository's root.
        line: its line.
        module: dotted name; of `from a import b` it is `a.b`.
        function: qualified name of the function around it; empty at module level.
        for_types: whether it stands under `if TYPE_CHECKING` and never runs.
    """

    file: str
    line: int
    module: str
    function: str
    for_types: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def imports_of(source: str, file: str) -> Iterator[Import]:
    """All imports of one file."""

    def visit(node: ast.AST, names: tuple[str, ...], inside: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            where = ".".join(names) if inside else ""
            if isinstance(child, ast.Import):
                yield from (Import(file, child.lineno, name.name, where, for_types) for name in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = _absolute(child, file)
                yield from (Import(file, child.lineno, f"{base}.{name.name}", where, for_types) for name in child.names)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from visit(child, (*names, child.name), True, for_types)
            elif isinstance(child, ast.ClassDef):
                yield from visit(child, (*names, child.name), inside, for_types)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                yield from visit(child, names, inside, True)
            else:
                yield from visit(child, names, inside, for_types)

    yield from visit(ast.parse(source), (), False, False)


def _absolute(node: ast.ImportFrom, file: str) -> str:
    if node.level == 0:
        return node.module or ""
    package = Path(file).with_suffix("").parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def sources() -> list[Path]:
    return [ROOT / "service.py", *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))]


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    """Every import of the project, that of its tests apart."""
    found = [
        one for path in sources() for one in imports_of(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    ]
    assert len(found) > 300  # an empty list would hold every rule
    return found


def matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def layer_of(module: str) -> int | None:
    """Position in `LAYERS`, the entry commands first: `wbc.cli.gradcam` is a command and not saliency."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        for rank in reversed(range(len(LAYERS))):
            if matches(name, LAYERS[rank]):
                return rank
    return None


def module_of(file: str) -> str:
    return ".".join(Path(file).with_suffix("").parts)


def of_package(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_every_module_of_the_library_has_a_layer() -> None:
    for path in sorted((ROOT / "wbc").rglob("*.py")):
        module = module_of(str(path.relative_to(ROOT)))
        if module != "wbc.__init__":
            assert layer_of(module) is not None, f"{module} stands in no layer; LAYERS says which there are"


def test_library_imports_only_what_lies_below(imports: list[Import]) -> None:
    wrong = []
    for one in imports:
        if one.for_types or not one.file.startswith(("wbc/", "service.py")) or not of_package(one.module, "wbc"):
            continue
        importer, below, above = module_of(one.file), layer_of(one.module), layer_of(module_of(one.file))
        assert below is not None, f"{one}, which has no layer"
        assert above is not None
        own_package = ".".join(importer.split(".")[:2]) == ".".join(one.module.split(".")[:2])
        if below > above or (below == above and not own_package and not matches(importer, ("wbc.cli*",))):
            wrong.append(str(one))
    assert wrong == []


def test_library_imports_nothing_above_it(imports: list[Import]) -> None:
    above = ("training", "evaluation", "export", "benchmarks", "service", "tests")
    wrong = [str(one) for one in imports if one.file.startswith("wbc/") and one.module.split(".")[0] in above]
    assert wrong == []


def test_packages_above_the_library(imports: list[Import]) -> None:
    ours = {"service", "tests", *PACKAGES}
    wrong = []
    for one in imports:
        package, imported = one.file.split("/")[0], one.module.split(".")[0]
        if package in ABOVE_WBC and imported in ours and imported not in ABOVE_WBC[package]:
            wrong.append(str(one))
    assert wrong == []


def test_nobody_imports_the_service(imports: list[Import]) -> None:
    assert [str(one) for one in imports if of_package(one.module, "service")] == []


def test_keras_stays_where_models_are_made(imports: list[Import]) -> None:
    users = [one for one in imports if one.module.split(".")[0] in KERAS]
    users += [
        one for one in imports if one.file.startswith(("wbc/", "service.py")) and matches(one.module, BRINGS_KERAS)
    ]
    wrong = [
        str(one)
        for one in users
        if not one.for_types
        and not matches(one.file, KERAS_FILES)
        and not matches(one.function, [KERAS_INSIDE.get(one.file, "never")])
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ONLY_IN)
def test_packages_with_one_importer(imports: list[Import], package: str) -> None:
    users = [one for one in imports if of_package(one.module, package)]
    assert [str(one) for one in users if not matches(one.file, ONLY_IN[package])] == []
    assert users, f"nobody imports {package}; take it out of ONLY_IN"


def test_environment_is_read_in_one_place() -> None:
    wrong = []
    for path in sources():
        file = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name in ("environ", "environb", "getenv", "putenv") and file != "wbc/settings.py":
                wrong.append(f"{file}:{node.lineno} reads the environment by {name}")
    assert wrong == []


def test_the_reader_of_imports_sees_them_all() -> None:
    source = """
import keras.ops
from typing import TYPE_CHECKING
from . import bundle
from .nn import attention as a, activation
if TYPE_CHECKING:
    import bentoml
class Outer:
    async def run(self):
        try:
            import onnxruntime as ort
        finally:
            pass
"""
    found = {(one.module, one.function, one.for_types) for one in imports_of(source, "wbc/somewhere.py")}
    assert found == {
        ("keras.ops", "", False),
        ("typing.TYPE_CHECKING", "", False),
        ("wbc.bundle", "", False),
        ("wbc.nn.attention", "", False),
        ("wbc.nn.activation", "", False),
        ("bentoml", "", True),
        ("onnxruntime", "Outer.run", False),
    }
    assert layer_of("wbc.cli.gradcam.gradcam") == layer_of("wbc.cli") == layer_of("wbc.http")
    assert layer_of("wbc.saliency.focus") == layer_of("wbc.inference")
    assert layer_of("wbc.unknown") is None


def test_there_is_no_import_circle(imports: list[Import]) -> None:
    modules = {module_of(str(path.relative_to(ROOT))).removesuffix(".__init__") for path in sources()}
    needed: dict[str, set[str]] = {module: set() for module in modules}
    for one in imports:
        if not one.for_types and not one.function:
            found = {one.module, one.module.rpartition(".")[0]} & modules
            importer = module_of(one.file).removesuffix(".__init__")
            needed[importer] |= {max(found, key=len)} - {importer} if found else set()
    TopologicalSorter(needed).prepare()  # raises CycleError with the modules of a circle
