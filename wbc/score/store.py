"""The result's folder: Parquet parts that appear whole, and what they were made with."""

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
"""Columns of the result; an error row has nulls where there is no answer, an answer has nulls for the error."""

RUN = "score.json"
"""File that says what the parts of a folder were made of."""


class Store:
    """The folder of one result. A part is complete or not there, so a run can be killed at any time and started again.

    Args:
        folder: is made where it is missing.
        made_of: what every part has to be made of: `bundle_sha256`, `graph` and `input`.

    Raises:
        BundleMismatch: the folder holds the result of another bundle or graph.
        InvalidParameter: the folder holds the result of another input.
    """

    def __init__(self, folder: Path, made_of: dict[str, str]) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / RUN).is_file():
            self._check(json.loads((folder / RUN).read_text(encoding="utf-8")), made_of)
        else:
            new = folder / f".{RUN}"
            new.write_text(json.dumps(made_of, indent=2) + "\n", encoding="utf-8")
            new.replace(folder / RUN)

    def _check(self, found: dict[str, Any], made_of: dict[str, str]) -> None:
        for name, error in (("bundle_sha256", BundleMismatch), ("graph", BundleMismatch), ("input", InvalidParameter)):
            if found.get(name) != made_of[name]:
                raise error(
                    f"{self._folder} holds a result of {name}={found.get(name)}; received {name}={made_of[name]}, "
                    "which needs a folder of its own"
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one run; the system lets go of it when the process ends, however it ends.

        Raises:
            InvalidParameter: another run holds it.
        """
        with (self._folder / RUN).open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InvalidParameter(f"another run is writing into {self._folder}") from error
            yield

    def parts(self) -> list[Path]:
        """Complete parts, in the order of their making."""
        return sorted(self._folder.glob("part-*.parquet"))

    def names(self) -> set[str]:
        """Names of the files that have a row."""
        return {name for part in self.parts() for name in pq.read_table(part, columns=["path"])["path"].to_pylist()}

    def table(self) -> pa.Table:
        """All rows."""
        return pa.concat_tables([SCHEMA.empty_table(), *(pq.read_table(part) for part in self.parts())])

    def write(self, rows: Sequence[Row]) -> None:
        """Add a part with these rows."""
        last = max((int(part.stem.removeprefix("part-")) for part in self.parts()), default=-1)
        target = self._folder / f"part-{last + 1:06d}.parquet"
        new = self._folder / f".{target.name}"
        with new.open("wb") as file:
            pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
