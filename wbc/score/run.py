"""A scoring run: files without a row, engine, Parquet parts, summary."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wbc.analyzer import Analyzer
from wbc.bundle import Bundle
from wbc.cpu import cpu_quota
from wbc.errors import InvalidParameter
from wbc.machine import package_versions
from wbc.score.config import ScoreConfig
from wbc.score.inputs import Source, find_sources
from wbc.score.rows import Row, score_rows
from wbc.score.store import Store
from wbc.settings import Settings
from wbc.settings import settings as process_settings

BATCHES_PER_PART = 16


@dataclass(frozen=True, slots=True)
class Summary:
    """Numbers of a run.

    Attributes:
        images: files in the input.
        skipped: files that had a row before.
        answered: files this run classified.
        errors: files that failed in this run, by code.
        classes: files of this run by predicted class.
        flagged: files of this run that need a review.
        wall_s: time from the start of the engine to the last row.
        images_per_second: rows of this run divided by that time.
        images_per_second_steady: the same after the first part, without the start; None for a single part.
        not_images: files in the input that are not named like an image.
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
    not_images: int = 0


def score(
    config: ScoreConfig, say: Callable[[str], None] = lambda _: None, settings: Settings | None = None
) -> Summary:
    """Score the files that have no row yet, and add the run to the report if one is named.

    Raises:
        InvalidParameter: no image in the input, the folder belongs to another run, or a report of a resumed run.
        BundleError: see `Store` and `Analyzer.load`.
    """
    settings = settings or process_settings()
    sources, others = find_sources(config.input)
    if others:
        say(f"{others} files not named like an image")
    bundle = Bundle.load(config.bundle or settings.bundle)
    made_of = {
        "model": f"{bundle.manifest.name} {bundle.manifest.version}",
        "bundle_sha256": bundle.sha256,
        "graph": settings.graph,
        "tta": bundle.with_tta(settings.tta).manifest.tta,
        "input": str(Path(config.input).resolve()),
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
        rows = _run_engine(config, left, bundle, settings) if left else iter(())
        while part := list(itertools.islice(rows, BATCHES_PER_PART * config.batch_size)):
            now = time.perf_counter()
            finished += len(part)
            if first is None:
                first = (finished, now)
            counts.update(row["class"] for row in part if row.get("class") is not None)
            errors.update(row["error_code"] for row in part if row.get("error_code") is not None)
            flagged += sum(bool(row.get("review")) for row in part)
            store.write(part)
            say(f"{finished} of {len(left)} images, {finished / (now - start):.1f} per second")
        end = time.perf_counter()
    steady = None
    if first is not None and finished > first[0]:
        steady = round((finished - first[0]) / (end - first[1]), 2)
    summary = Summary(
        images=len(sources),
        skipped=skipped,
        answered=counts.total(),
        errors=dict(sorted(errors.items())),
        classes=dict(sorted(counts.items())),
        flagged=flagged,
        wall_s=round(end - start, 3),
        images_per_second=round(finished / (end - start), 2),
        images_per_second_steady=steady,
        not_images=others,
    )
    if config.report is not None:
        _write_report(config.report, config, settings, made_of, summary)
    return summary


def _run_engine(config: ScoreConfig, sources: list[Source], bundle: Bundle, settings: Settings) -> Iterator[Row]:
    workers = config.workers or cpu_quota()
    if config.engine == "local":
        analyzer = Analyzer.load(bundle, settings)
        return score_rows(analyzer, sources, batch_size=config.batch_size, workers=workers)
    from wbc.score.on_ray import score_on_ray

    return score_on_ray(
        sources, bundle, settings, batch_size=config.batch_size, workers=workers, address=config.ray_address
    )


def _write_report(
    path: Path, config: ScoreConfig, settings: Settings, made_of: dict[str, str], summary: Summary
) -> None:
    """Add a run's numbers to a JSON file and replace those of an earlier run with the same engine and workers."""
    if summary.skipped:
        raise InvalidParameter(f"{summary.skipped} images had a row already; a report needs a run from the start")
    ray = config.engine == "ray"
    run: dict[str, Any] = {
        "engine": config.engine,
        "workers": config.workers or cpu_quota(),
        "batch_size": config.batch_size,
        "threads": settings.threads or (1 if ray else cpu_quota()),
        "cores": cpu_quota(),
        **{name: made_of[name] for name in ("graph", "tta", "model", "bundle_sha256")},
        "versions": package_versions(("numpy", "pyarrow", "ray") if ray else ("numpy", "pyarrow")),
        **asdict(summary),
    }
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    kept = [one for one in runs if (one["engine"], one["workers"]) != (run["engine"], run["workers"])]
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted([*kept, run], key=lambda one: (one["engine"], one["workers"]))
    path.write_text(json.dumps({"runs": ordered}, indent=1) + "\n", encoding="utf-8")
