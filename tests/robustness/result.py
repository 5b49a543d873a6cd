"""Results of the long checks: `results/bench/robustness.json` and the tables of `docs/robustness.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from benchmarks.record import BundleUsed, Measured, Result
from wbc.settings import REPOSITORY

RESULTS = REPOSITORY / "results" / "bench" / "robustness.json"
DOCUMENT = REPOSITORY / "docs" / "robustness.md"
BEGIN, END = "<!-- begin: measured -->\n", "<!-- end: measured -->"
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


def tables(result: RobustnessResult) -> str:
    """The measured part of `docs/robustness.md`."""
    corpus, soak = result.corpus, result.soak
    rows = [
        ("Bad uploads", f"{corpus.cases} cases, {corpus.rounds} rounds", f"memory {corpus.growth:+.1%}"),
        ("Fuzzed OpenAPI document", f"{result.fuzz.operations} operations", f"{result.fuzz.requests} requests"),
        (
            "Soak",
            f"{soak.requests} requests in {soak.seconds:.0f} s",
            f"memory {soak.growth:+.1%}, {_counts(soak.statuses)}",
        ),
        *(
            (
                f"`{kill.service}` killed in mid-load",
                _counts(kill.statuses),
                f"unready after {_seconds(kill.unready_after_s)}, ready {_seconds(kill.ready_after_s)} later",
            )
            for kill in result.kills
        ),
        ("SIGTERM in mid-load", f"{result.term.in_flight} in flight", f"{result.term.answered} answered with 200"),
    ]
    lines = ["| part | size | result |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    verdict = "\n".join(f"- missed: {what}" for what in result.wrong) or "Nothing was missed."
    machine = result.machine
    return "\n".join(
        [
            *lines,
            "",
            verdict,
            "",
            f"Measured on {machine.cores} cores ({machine.cpu}), model `{result.bundle.name}` {result.bundle.version}, "
            f"by `{result.command}`.",
            "",
        ]
    )


def write_tables(result: RobustnessResult, document: Path) -> None:
    """Put the tables into the document, in the place of those before."""
    before, _, rest = document.read_text().partition(BEGIN)
    document.write_text(f"{before}{BEGIN}{tables(result)}{END}{rest.partition(END)[2]}")


def _counts(statuses: dict[int, int]) -> str:
    named = {"closed" if status == 0 else str(status): count for status, count in sorted(statuses.items())}
    return ", ".join(f"{status}: {count}" for status, count in named.items())


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
