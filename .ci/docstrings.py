"""List docstrings in the given files and folders that open with a question word; exit with 1 if there are any."""

import ast
import re
import sys
from pathlib import Path

OPENING = re.compile(r"(what|who|whether|how|where|that|which)\b", re.IGNORECASE)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def find_offenders(path: Path) -> list[str]:
    """Return `path:line: docstring` for each docstring, a constant's included, that opens with a question word."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, DOCUMENTED):
            # A string after an assignment documents the constant or attribute; the first one documents the block.
            texts = [child.value for child in node.body if isinstance(child, ast.Expr)]
            strings = [text for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)]
            found += [(text.lineno, str(text.value)) for text in strings if OPENING.match(str(text.value))]
    return [f"{path}:{line}: {text.splitlines()[0]}" for line, text in sorted(found)]


if __name__ == "__main__":
    roots = [Path(name) for name in sys.argv[1:]]
    files = [file for root in roots for file in ([root] if root.is_file() else sorted(root.rglob("*.py")))]
    offenders = [line for file in files for line in find_offenders(file)]
    if offenders:
        sys.exit("\n".join([*offenders, f"{len(offenders)} docstrings open with a question word"]))
