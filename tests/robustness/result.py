"""Results of the long checks: `results/bench/robustness.json` and the tables of `docs/robustness.md`."""

from __future__ import annotations

from typing import Literal

from benchmarks.record import BundleUsed, Measured, Result, read
from wbc.settings import REPOSITORY
from wbc.tables import Table

RESULTS = REPOSITORY / "results" / "bench" / "robustness.json"
DOCUMENT = REPOSITORY / "docs" / "robustness.md"
MOST_GROWTH = 0.05
"""Of memory, after the warm-up."""


class CorpusResult(Result):
    """The bad uploads; memory is of all processes of the server together, growth a share."""

    cases: int
    rounds: int
    memory_mb: float
    growth: float


class FuzzResult(Result):
    """The OpenAPI document, fuzzed."""

    operations: int
    requests: int


class SoakResult(Result):
    """The soak; statuses of good and of bad requests, 0 for a connection that was closed."""

    requests: int
    seconds: float
    kinds: dict[str, int]
    statuses: dict[int, int]
    memory_mb: float
    growth: float


class KillResult(Result):
    """A service killed under load; times in seconds, None if the event did not occur."""

    service: str
    statuses: dict[int, int]
    unready_after_s: float | None
    ready_after_s: float | None


class TermResult(Result):
    """SIGTERM in mid-load."""

    in_flight: int
    answered: int


class RobustnessResult(Measured):
    """`make soak`.

    Attributes:
        bundle: that was served.
        corpus, fuzz, soak, kills, term: what each part found.
        wrong: what should not be, in words; empty where every claim holds.
    """

    kind: Literal["robustness"] = "robustness"
    bundle: BundleUsed
    corpus: CorpusResult
    fuzz: FuzzResult
    soak: SoakResult
    kills: list[KillResult]
    term: TermResult
    wrong: list[str]


def show() -> str:
    """Return the measured part of docs/robustness.md, for its cog block."""
    result = read(RobustnessResult, RESULTS)
    if result is None:
        return "\nNot measured yet: `make soak`.\n"
    corpus, soak, fuzz, term, machine = result.corpus, result.soak, result.fuzz, result.term, result.machine
    rows = [
        ("Bad uploads", f"{corpus.cases} cases, {corpus.rounds} rounds", f"memory {corpus.growth:+.1%}"),
        ("Fuzzed OpenAPI document", f"{fuzz.operations} operations", f"{fuzz.requests} requests"),
        (
            "Soak",
            f"{soak.requests} requests in {soak.seconds:.0f} s",
            f"memory {soak.growth:+.1%}, {_counts(soak.statuses)}",
        ),
        *(
            (
                f"`{kill.service}` killed under load",
                _counts(kill.statuses),
                f"unready after {_seconds(kill.unready_after_s)}, ready {_seconds(kill.ready_after_s)} later",
            )
            for kill in result.kills
        ),
        ("SIGTERM under load", f"{term.in_flight} in progress", f"{term.answered} completed with 200"),
    ]
    missed = "\n".join(f"- missed: {what}" for what in result.wrong) or "No claim was missed."
    source = (
        f"Measured on {machine.cores} cores ({machine.cpu}), model `{result.bundle.name}` {result.bundle.version}, "
        f"by `{result.command}`."
    )
    return "\n" + "\n\n".join([Table(("part", "size", "result"), rows).markdown(), missed, source]) + "\n"


def _counts(statuses: dict[int, int]) -> str:
    named = {"closed" if status == 0 else str(status): count for status, count in sorted(statuses.items())}
    return ", ".join(f"{status}: {count}" for status, count in named.items())


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
