"""Scoring on a Ray cluster: Ray Data sends batches of paths to a pool of actors, each with its own session."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
from numpy.typing import NDArray

from wbc.analyzer import Analyzer
from wbc.bundle import Bundle
from wbc.errors import BundleMismatch
from wbc.score.inputs import Source
from wbc.score.rows import Row, score_rows
from wbc.score.store import SCHEMA
from wbc.settings import Settings, keep_usage_private

OBJECT_STORE_BYTES = 256 * 1024 * 1024
"""Object store of a cluster started here; only paths and rows pass through it."""


class ScoringActor:
    """Actor that loads the bundle once and scores batches of paths.

    Args:
        sha256: expected hash of the bundle.
        options: fields of `Settings`; they replace the environment of the worker.
        batch_size: maximum number of views in a forward pass.

    Raises:
        BundleMismatch: the bundle on this node is another one.
    """

    def __init__(self, sha256: str, options: dict[str, Any], batch_size: int) -> None:
        settings = Settings(**options)
        bundle = Bundle.load(settings.bundle)
        if bundle.sha256 != sha256:
            raise BundleMismatch(f"{settings.bundle} is bundle {bundle.sha256} on this node; expected {sha256}")
        self._analyzer, self._batch_size = Analyzer.load(bundle, settings), batch_size

    def __call__(self, batch: dict[str, NDArray[Any]]) -> pa.Table:
        """Score the files of the columns `name` and `path`."""
        paths = (Path(os.fsdecode(path)) for path in batch["path"].tolist())
        sources = [Source(name, path) for name, path in zip(batch["name"].tolist(), paths, strict=True)]
        rows = score_rows(self._analyzer, sources, batch_size=self._batch_size, workers=1)
        return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def score_on_ray(
    sources: Sequence[Source],
    bundle: Bundle,
    settings: Settings,
    *,
    batch_size: int,
    workers: int,
    address: str | None = None,
) -> Iterator[Row]:
    """Yield one row per file, in the order in which they are finished.

    Workers read files and bundle, which must have the same paths on every node. An actor takes one CPU, and its
    session one thread unless the settings have another number.

    Args:
        sources: the files.
        bundle: the bundle that every worker must have.
        settings: graph, device, views and threads of the workers.
        batch_size: maximum number of views in a forward pass.
        workers: number of actors.
        address: of a running cluster; None starts one on this machine and stops it.
    """
    started = not ray.is_initialized()
    if started:
        _start(workers, address)
    options = {
        "bundle": bundle.path.resolve(),
        "threads": settings.threads or 1,
        **settings.model_dump(include={"graph", "device", "tta", "max_pixels"}),
    }
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        items = [{"name": source.name, "path": os.fsencode(source.path.absolute())} for source in sources]
        blocks = max(workers, int(np.ceil(len(items) / batch_size)))
        scored = ray.data.from_items(items, override_num_blocks=min(blocks, len(items))).map_batches(
            ScoringActor,
            fn_constructor_args=(bundle.sha256, options, batch_size),
            batch_size=batch_size,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
        )
        for table in scored.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield from pa.table(table).to_pylist()
    finally:
        if started:
            ray.shutdown()


def _start(workers: int, address: str | None) -> None:
    keep_usage_private()
    local = {"num_cpus": workers, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    ray.init(
        log_to_driver=False, logging_level=logging.WARNING, **({"address": address} if address is not None else local)
    )
