"""The long proof of the robustness claims, with the served product as it ships: `make soak`.

Exits with 1 where a claim does not hold; the results say which.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cogapp import Cog

from benchmarks.record import BundleUsed, write
from tests.robustness.bad_images import picture, saved
from tests.robustness.corpus import corpus, large_upload, tried
from tests.robustness.faults import kill_in_mid_load, terminate_in_mid_load
from tests.robustness.fuzz import fuzz
from tests.robustness.processes import resident_bytes
from tests.robustness.result import (
    DOCUMENT,
    MOST_GROWTH,
    RESULTS,
    CorpusResult,
    FuzzResult,
    KillResult,
    RobustnessResult,
    SoakResult,
    TermResult,
)
from tests.robustness.soak import soak
from tests.robustness.wire import send, upload
from tests.served import Served
from wbc.bundle import Bundle
from wbc.machine import Machine
from wbc.settings import settings

GRADCAM_REQUESTS = ("/predict?explain=false&gradcam=keras", "/predict?explain=false")


def prove(requests: int, rounds: int, max_examples: int, folder: Path) -> RobustnessResult:
    """Every part after the other, against one server.

    Args:
        requests: of the soak.
        rounds: over the bad uploads, after one to warm up.
        max_examples: of the fuzzing, an operation and mode.
        folder: for the server's log.
    """
    machine, bundle = Machine.here(), Bundle.load(settings().bundle)
    sound = saved(picture(), "PNG")
    with Served(folder, WBC_UPLOAD_TIMEOUT_S="5") as server:
        found, wrong = _corpus(server, rounds)
        fuzzed = fuzz(server.url, max_examples)
        soaked = soak(server, requests)
        classifier = kill_in_mid_load(server, "Classifier", [upload(sound)])
        gradcam = kill_in_mid_load(server, "GradCam", [upload(sound, target=target) for target in GRADCAM_REQUESTS])
        term = terminate_in_mid_load(server, large_upload())
    for complaints in (
        fuzzed.wrong,
        soaked.complaints(MOST_GROWTH),
        classifier.complaints(),
        gradcam.complaints(),
        term.complaints(),
    ):
        wrong += complaints
    return RobustnessResult(
        command="make soak",
        quick=requests < 5000,
        machine=machine,
        bundle=BundleUsed.of(bundle, "fp32"),
        corpus=found,
        fuzz=FuzzResult(operations=fuzzed.operations, requests=fuzzed.requests),
        soak=SoakResult(
            requests=soaked.requests,
            seconds=round(soaked.seconds, 1),
            kinds=soaked.kinds,
            statuses=soaked.statuses,
            memory_mb=round(soaked.end_mb, 1),
            growth=round(soaked.growth, 4),
        ),
        kills=[
            KillResult(
                service=kill.service,
                statuses=kill.statuses,
                unready_after_s=_rounded(kill.unready_after_s),
                ready_after_s=_rounded(kill.ready_after_s),
            )
            for kill in (classifier, gradcam)
        ],
        term=TermResult(in_flight=len(term.statuses), answered=term.statuses.count(200)),
        wrong=wrong,
    )


def _corpus(server: Served, rounds: int) -> tuple[CorpusResult, list[str]]:
    with ThreadPoolExecutor(4) as callers:
        list(callers.map(lambda _: send(server.port, large_upload(), deadline_s=120), range(8)))
    wrong = {complaint for case in corpus() if (complaint := tried(server.port, case)[1])}
    warm = resident_bytes(server)
    for _ in range(rounds):
        wrong |= {complaint for case in corpus() if (complaint := tried(server.port, case)[1])}
    growth = resident_bytes(server) / warm - 1.0
    if growth > MOST_GROWTH:
        wrong.add(f"bad uploads: memory grew by {growth:.1%} from {warm / 1e6:.0f} MB")
    result = CorpusResult(
        cases=len(corpus()), rounds=rounds, memory_mb=round(resident_bytes(server) / 1e6, 1), growth=round(growth, 4)
    )
    return result, sorted(wrong)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def main() -> int:
    """Run the proof and write its results; the exit code."""
    parser = argparse.ArgumentParser(description="The long proof of the robustness claims.")
    parser.add_argument("--requests", type=int, default=5000, help="of the soak")
    parser.add_argument("--rounds", type=int, default=3, help="over the bad uploads")
    parser.add_argument("--max-examples", type=int, default=40, help="of the fuzzing, an operation and mode")
    parser.add_argument("--output", type=Path, default=RESULTS, help="file of the results")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = prove(given.requests, given.rounds, given.max_examples, Path(folder))
    write(result, given.output)
    if given.output == RESULTS:
        Cog().callable_main(["cog", "-r", "-U", "--verbosity=0", str(DOCUMENT)])
    for what in result.wrong:
        sys.stderr.write(f"missed: {what}\n")
    sys.stdout.write(f"{given.output}: {len(result.wrong)} claims missed\n")
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
