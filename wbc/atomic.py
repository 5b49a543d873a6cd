"""Atomic replacement of files."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path` to write to; at the end of the block, rename it to `path`.

    A reader sees the old file or the whole new one, even if the process is killed or another writes the same file. The
    temporary name ends in the name of `path`. If the block raises an error, the temporary file is removed.
    """
    new = path.with_name(f".{os.getpid()}-{threading.get_ident()}.{path.name}")
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
