"""Folder of a result: Parquet parts, written atomically, and a record of the run they belong to."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wbc.atomic import replaced_atomically
from wbc.errors import BundleMismatch, InvalidParameter
from wbc.labels import CLASSES
from wbc.score.rows import Row

SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        ("sha256", pa.string()),
        ("class", pa.string()),
        ("confidence", pa.float64()),
        *((f"probability_{name}", pa.float64()) for name in CLASSES),
        ("review", pa.bool_()),
        ("reasons", pa.list_(pa.string())),
        ("distance", pa.float64()),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("bundle_sha256", pa.string(), nullable=False),
        pa.field("graph", pa.string(), nullable=False),
        ("error_code", pa.string()),
        ("error", pa.string()),
    ]
)
"""Columns of the result; a row has nulls either for the prediction or for the error."""

RUN = "_score.json"
"""Record of the bundle, graph, views and input of a result; readers of Parquet folders ignore names with `_`."""


class Store:
    """Folder of one result. Parts are written atomically, so a run can be killed at any time and resumed.

    Args:
        folder: created if it does not exist.
        made_of: origin of every part: `bundle_sha256`, `graph`, `tta` and `input`.

    Raises:
        BundleMismatch: the folder holds the result of another bundle, graph or number of views.
        InvalidParameter: the folder holds the result of another input, or is a file.
    """

    def __init__(self, folder: Path, made_of: dict[str, str]) -> None:
        self._folder = folder
        if folder.exists() and not folder.is_dir():
            raise InvalidParameter(f"{folder} is a file; expected a folder")
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / RUN).is_file():
            self._check(json.loads((folder / RUN).read_text(encoding="utf-8")), made_of)
        else:
            with replaced_atomically(folder / RUN) as new:
                new.write_text(json.dumps(made_of, indent=2) + "\n", encoding="utf-8")

    def _check(self, found: dict[str, Any], made_of: dict[str, str]) -> None:
        errors = dict.fromkeys(("bundle_sha256", "graph", "tta"), BundleMismatch) | {"input": InvalidParameter}
        for name, error in errors.items():
            if found.get(name) != made_of[name]:
                raise error(
                    f"{self._folder} holds a result of {name}={found.get(name)}; received {name}={made_of[name]}, "
                    "which needs another folder"
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for one run; the operating system releases the lock when the process ends.

        Raises:
            InvalidParameter: another run has locked it.
        """
        with (self._folder / RUN).open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InvalidParameter(f"another run is writing into {self._folder}") from error
            yield

    def parts(self) -> list[Path]:
        """Return the complete parts, oldest first."""
        return sorted(self._folder.glob("part-*.parquet"))

    def names(self) -> set[str]:
        """Return the names of the files that have a row."""
        return {name for part in self.parts() for name in pq.read_table(part, columns=["path"])["path"].to_pylist()}

    def table(self) -> pa.Table:
        """Return all rows."""
        return pa.concat_tables([SCHEMA.empty_table(), *(pq.read_table(part) for part in self.parts())])

    def write(self, rows: Sequence[Row]) -> None:
        """Add a part."""
        last = max((int(part.stem.removeprefix("part-")) for part in self.parts()), default=-1)
        with replaced_atomically(self._folder / f"part-{last + 1:06d}.parquet") as new, new.open("wb") as file:
            pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), file)
            file.flush()
            os.fsync(file.fileno())
