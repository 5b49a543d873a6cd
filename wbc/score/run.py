"""A whole run: what is left to do, the engine, the parts, the numbers."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from wbc.cpu import cpu_quota
from wbc.errors import InvalidParameter
from wbc.score.inputs import Source, find_sources
from wbc.score.local import score_here
from wbc.score.rows import Row, ScorerConfig
from wbc.score.store import Store

Engine = Literal["local", "ray"]

BATCHES_A_PART = 16


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """A run.

    Attributes:
        given: folder, file of paths, or glob; see `inputs.find_sources`.
        output: folder of the result.
        scorer: how images are answered.
        engine: where.
        workers: `local`: threads that decode and prepare; `ray`: actors. 0 is one a core.
        ray_address: of a running cluster; None starts one on this machine.
    """

    given: str
    output: Path
    scorer: ScorerConfig
    engine: Engine = "local"
    workers: int = 0
    ray_address: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Attributes:
        images: that the input names.
        skipped: of these, those that had a row before.
        answered: with a class, by this run.
        errors: by code, of this run.
        classes: by class, of this run.
        flagged: for review, of this run.
        wall_s: from the first file to the last row, the start of the engine included.
        images_per_second: rows of this run by that time.
        images_per_second_steady: the same after the first part, without the start; None where there is one part.
    """

    images: int
    skipped: int
    answered: int
    errors: dict[str, int]
    classes: dict[str, int]
    flagged: int
    wall_s: float
    images_per_second: float
    images_per_second_steady: float | None


def score(config: ScoreConfig, say: Callable[[str], None] = lambda _: None) -> Summary:
    """Score what has no row yet.

    Raises:
        InvalidParameter: no image in the input, or the folder is another run's.
        BundleError: see `Store` and `OnnxClassifier.of`.
    """
    config = replace(config, workers=config.workers or cpu_quota())
    sources, bundle = find_sources(config.given), config.scorer.bundle
    made_of = {
        "model": f"{bundle.manifest.name} {bundle.manifest.version}",
        "bundle_sha256": bundle.sha256,
        "graph": config.scorer.graph,
        "input": str(Path(config.given).resolve()),
    }
    store = Store(config.output, made_of)
    with store.locked():
        done = store.names()
        left = [source for source in sources if source.name not in done]
        if skipped := len(sources) - len(left):
            say(f"{skipped} of {len(sources)} images have a row already")
        counts, errors, flagged = Counter[str](), Counter[str](), 0
        start, first = time.perf_counter(), None
        finished = 0
        for rows in _parts(_engine(config, left) if left else iter(()), config.scorer.batch_size):
            now = time.perf_counter()
            finished += len(rows)
            if first is None:
                first = (finished, now)
            counts.update(row["class"] for row in rows if row.get("class") is not None)
            errors.update(row["error_code"] for row in rows if row.get("error_code") is not None)
            flagged += sum(bool(row.get("review")) for row in rows)
            store.write(rows)
            say(f"{finished} of {len(left)} images, {finished / (now - start):.1f} a second")
        end = time.perf_counter()
    steady = None
    if first is not None and finished > first[0]:
        steady = round((finished - first[0]) / (end - first[1]), 2)
    return Summary(
        images=len(sources),
        skipped=skipped,
        answered=counts.total(),
        errors=dict(sorted(errors.items())),
        classes=dict(sorted(counts.items())),
        flagged=flagged,
        wall_s=round(end - start, 3),
        images_per_second=round(finished / (end - start), 2),
        images_per_second_steady=steady,
    )


def _engine(config: ScoreConfig, sources: list[Source]) -> Iterator[list[Row]]:
    if config.engine == "local":
        return score_here(sources, config.scorer, config.workers)
    from wbc.score.on_ray import Cluster, score_on_ray

    return score_on_ray(sources, config.scorer, Cluster(config.workers, config.ray_address))


def _parts(batches: Iterator[list[Row]], batch_size: int) -> Iterator[list[Row]]:
    """Batches gathered to parts."""
    rows = itertools.chain.from_iterable(batches)
    while part := list(itertools.islice(rows, BATCHES_A_PART * batch_size)):
        yield part


def write_report(path: Path, config: ScoreConfig, summary: Summary) -> None:
    """Add a run's numbers to a JSON file; those of an earlier run with the same engine and workers are replaced.

    Raises:
        InvalidParameter: the run skipped images: it was resumed, and its time says little.
    """
    if summary.skipped:
        raise InvalidParameter(f"{summary.skipped} images had a row already; a report needs a run from the start")
    bundle = config.scorer.bundle
    run: dict[str, Any] = {
        "engine": config.engine,
        "workers": config.workers or cpu_quota(),
        "batch_size": config.scorer.batch_size,
        "threads": config.scorer.threads or (1 if config.engine == "ray" else cpu_quota()),
        "cores": cpu_quota(),
        "graph": config.scorer.graph,
        "model": f"{bundle.manifest.name} {bundle.manifest.version}",
        "bundle_sha256": bundle.sha256,
        "versions": {name: version(name) for name in _packages(config.engine)},
        **asdict(summary),
    }
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    kept = [one for one in runs if (one["engine"], one["workers"]) != (run["engine"], run["workers"])]
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted([*kept, run], key=lambda one: (one["engine"], one["workers"]))
    path.write_text(json.dumps({"runs": ordered}, indent=1) + "\n", encoding="utf-8")


def _packages(engine: Engine) -> tuple[str, ...]:
    return ("numpy", "pyarrow", "ray") if engine == "ray" else ("numpy", "pyarrow")
