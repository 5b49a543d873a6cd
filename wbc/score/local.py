"""Scoring on this machine: threads decode and prepare, one session answers."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from wbc.score.inputs import Source
from wbc.score.rows import Ready, Row, Scorer, ScorerConfig


def score_here(sources: Sequence[Source], config: ScorerConfig, workers: int) -> Iterator[list[Row]]:
    """Rows of all files, a list a batch, in order.

    Args:
        sources: the files.
        config: how they are answered.
        workers: threads that decode and prepare, two batches ahead of the session.
    """
    scorer = Scorer(config)
    with ThreadPoolExecutor(workers) as pool:
        prepared = _ahead(pool, scorer, sources, 2 * config.batch_size)
        while batch := list(itertools.islice(prepared, config.batch_size)):
            yield _answered(scorer, batch)


def score_batch(scorer: Scorer, sources: Iterable[Source]) -> list[Row]:
    """Rows of a few files, one after the other in this thread but for the forward pass."""
    return _answered(scorer, [scorer.prepare(source) for source in sources])


def _answered(scorer: Scorer, batch: Sequence[Ready | Row]) -> list[Row]:
    """The rows of a batch, in order."""
    answers = iter(scorer.answer([one for one in batch if isinstance(one, Ready)]))
    return [next(answers) if isinstance(one, Ready) else one for one in batch]


def _ahead(pool: ThreadPoolExecutor, scorer: Scorer, sources: Sequence[Source], ahead: int) -> Iterator[Ready | Row]:
    """Files in order, prepared at most so many ahead of their use: not all pictures are in memory at once."""
    waiting: deque[Future[Ready | Row]] = deque()
    for source in sources:
        waiting.append(pool.submit(scorer.prepare, source))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
