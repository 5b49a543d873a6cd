"""The size of the batches in which a server ran its network, by the server's own count."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

HISTOGRAM = "wbc_forward_batch_images"
"""The server's histogram of the images in each forward pass."""


@dataclass(frozen=True, slots=True)
class BatchCount:
    """Images and forward passes since a server started; `missing` says why they are not known."""

    images: float = 0.0
    passes: float = 0.0
    missing: str | None = None

    def since(self, before: BatchCount) -> tuple[float | None, str | None]:
        """Mean images a pass since an earlier count, or why it is not known."""
        if missing := self.missing or before.missing:
            return None, missing
        passes = self.passes - before.passes
        return (None, "no forward pass in this time") if passes <= 0 else ((self.images - before.images) / passes, None)


def batch_count(url: str) -> BatchCount:
    """Ask the server at `url` for its metrics and count."""
    try:
        answer = httpx.get(f"{url}/metrics", timeout=10)
    except httpx.HTTPError as error:
        return BatchCount(missing=f"/metrics gave no answer: {type(error).__name__}")
    if answer.status_code != 200:
        return BatchCount(missing=f"/metrics answered {answer.status_code}")
    samples = [s for family in text_string_to_metric_families(answer.text) for s in family.samples]
    images, passes = ([s.value for s in samples if s.name == f"{HISTOGRAM}_{suffix}"] for suffix in ("sum", "count"))
    return BatchCount(sum(images), sum(passes)) if passes else BatchCount(missing=f"/metrics has no {HISTOGRAM}")
