"""Scoring on a Ray cluster: Ray Data hands batches of paths to a pool of actors, each with a session of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
from numpy.typing import NDArray

from wbc.bundle import Bundle
from wbc.errors import BundleMismatch
from wbc.score.inputs import Source
from wbc.score.local import score_batch
from wbc.score.rows import Row, Scorer, ScorerConfig
from wbc.score.store import SCHEMA
from wbc.settings import keep_usage_private

OBJECT_STORE_BYTES = 256 * 1024 * 1024
"""Of a cluster that is started here; paths and rows are all that passes through it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the actors run.

    Attributes:
        workers: actors.
        address: of a running cluster; None starts one on this machine and ends it.
    """

    workers: int
    address: str | None = None


class ScoringActor:
    """Lives on a worker: loads the bundle once, then answers batches of paths."""

    def __init__(self, bundle: str, config: ScorerConfig) -> None:
        loaded, wanted = Bundle.load(Path(bundle)), config.bundle.sha256
        if loaded.sha256 != wanted:
            raise BundleMismatch(f"{bundle} is bundle {loaded.sha256} on this node; the run is of {wanted}")
        self._scorer = Scorer(replace(config, bundle=loaded))

    def __call__(self, batch: dict[str, NDArray[Any]]) -> pa.Table:
        """Columns `name` and `path` to rows of the result."""
        names, paths = batch["name"].tolist(), batch["path"].tolist()
        sources = (Source(name, Path(path)) for name, path in zip(names, paths, strict=True))
        return pa.Table.from_pylist(score_batch(self._scorer, sources), schema=SCHEMA)


def score_on_ray(sources: Sequence[Source], config: ScorerConfig, cluster: Cluster) -> Iterator[list[Row]]:
    """Rows of all files, in the order in which they are answered.

    Files and bundle are read by the workers, so both have to lie under the same paths on every node. An actor takes one
    CPU, and its session one thread where the configuration names no number.
    """
    started = not ray.is_initialized()
    if started:
        _start(cluster)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        items = [{"name": source.name, "path": str(source.path.resolve())} for source in sources]
        blocks = max(cluster.workers, int(np.ceil(len(items) / config.batch_size)))
        answered = ray.data.from_items(items, override_num_blocks=min(blocks, len(items))).map_batches(
            ScoringActor,
            fn_constructor_args=(str(config.bundle.path.resolve()), replace(config, threads=config.threads or 1)),
            batch_size=config.batch_size,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=cluster.workers),
            num_cpus=1,
        )
        for table in answered.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield pa.table(table).to_pylist()
    finally:
        if started:
            ray.shutdown()


def _start(cluster: Cluster) -> None:
    keep_usage_private()
    if cluster.address is not None:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.WARNING)
        return
    ray.init(
        num_cpus=cluster.workers,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )
