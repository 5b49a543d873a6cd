"""Files to rows of the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wbc.analyzer import Analyzer
from wbc.bundle import sha256
from wbc.errors import UnreadableFile, WBCError
from wbc.labels import CLASSES
from wbc.score.inputs import Source

Row = dict[str, Any]


def score_rows(analyzer: Analyzer, sources: Sequence[Source], *, batch_size: int, workers: int = 0) -> Iterator[Row]:
    """Yield one row per file, in order; see `Analyzer.forward_many` for the arguments."""
    manifest = analyzer.bundle.manifest
    model: Row = {
        "model_version": f"{manifest.name} {manifest.version}",
        "bundle_sha256": analyzer.bundle.sha256,
        "graph": analyzer.graph,
    }
    results = analyzer.forward_many((source.path for source in sources), batch_size=batch_size, workers=workers)
    for source, (path, found) in zip(sources, results, strict=True):
        if isinstance(found, WBCError):
            digest = None if isinstance(found, UnreadableFile) else sha256(path)
            yield {"path": source.name, "sha256": digest, "error_code": found.code, "error": str(found), **model}
            continue
        analysis = analyzer.pipeline.conclude(found.prepared, found.outputs)
        yield {
            "path": source.name,
            "sha256": found.sha256,
            "class": analysis.label,
            "confidence": analysis.confidence,
            **{f"probability_{name}": analysis.probability(name) for name in CLASSES},
            "review": bool(analysis.review),
            "reasons": [reason.code for reason in analysis.review],
            "distance": analysis.distance,
            **model,
        }
