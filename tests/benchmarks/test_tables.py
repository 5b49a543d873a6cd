"""Tables of docs/performance.md and the targets in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.options import DOCUMENT, RESULTS
from benchmarks.record import (
    BundleUsed,
    FilterResult,
    LoadResult,
    PipelineResult,
    Spread,
    StageResult,
    Traffic,
    read,
    write,
)
from benchmarks.tables import make_tables, update_document
from benchmarks.targets import Results, check_targets
from wbc.errors import DataError
from wbc.machine import Machine

MACHINE = Machine(
    started="2026-01-02T03:04:05+00:00",
    cpu="a processor",
    cores=2,
    load_average=0.1,
    platform="Linux x86_64",
    versions={"python": "3.11.0"},
    commit="0123456789abcdef",
    modified=False,
)
BUNDLE = BundleUsed(name="tiny", version="1", sha256="f" * 64, variant="none", graph="fp32")


def took(milliseconds: float) -> Spread:
    return Spread(median_ms=milliseconds, p5_ms=milliseconds, p95_ms=milliseconds, repeats=9)


def stretch(
    throughput: float,
    *,
    p50: float = 50,
    p99: float = 90,
    rate: float | None = None,
    statuses: dict[str, int] | None = None,
) -> Traffic:
    return Traffic(
        arrivals="closed" if rate is None else "poisson",
        rate=rate,
        callers=1 if rate is None else None,
        duration_s=10,
        warm_up_s=1,
        sent=100,
        statuses=statuses or {"200": 100},
        throughput=throughput,
        p50_ms=p50,
        p95_ms=p99,
        p99_ms=p99,
        send_lag_p99_ms=0.1,
        generator_cpu=0.02,
        mean_batch=3.25,
    )


def loaded(**changes: object) -> LoadResult:
    """Results that meet every target: 25x, 1.67x, 78% and 96%."""
    values: dict[str, object] = {
        "command": "wbc bench load",
        "quick": False,
        "machine": MACHINE,
        "bundle": BUNDLE,
        "images": "drawn cells",
        "endpoint": "/predict",
        "settings": {},
        "threads": 2,
        "provider": "CPUExecutionProvider",
        "bare": {1: took(30), 8: took(250)},
        "naive": stretch(1.0),
        "single": stretch(18, p50=50),
        "saturated": {8: stretch(24), 32: stretch(25)},
        "deadline_ms": 1000,
        "trials": [stretch(17, rate=17.5), stretch(23, rate=24, p99=1500), stretch(20, rate=20.75, p99=800)],
        "overload_factor": 4,
        "overload": stretch(24, rate=83, statuses={"200": 40, "429": 60}),
    }
    return LoadResult.model_validate({**values, **changes})


def results(load: LoadResult, *, v1_ms: float = 5, int8_ms: float = 15, load_share: float = 0.01) -> Results:
    common = {"command": "wbc bench x", "quick": False, "machine": MACHINE, "images": "drawn cells"}
    speed = dict.fromkeys(("decode", "load", "augment", "prepare", "pipeline_cold", "pipeline", "step"), 10.0)
    return Results(
        StageResult(
            **common,
            bundle=BUNDLE,
            threads=2,
            providers={"fp32": "CPUExecutionProvider", "int8": "CPUExecutionProvider"},
            available=["CPUExecutionProvider"],
            stages={"decode": took(1)},
            forward={"fp32": {1: took(30), 8: took(250)}, "int8": {1: took(int8_ms)}},
            left_out=["fp16"],
        ),
        FilterResult(**common, size=224, variants={"v1": took(v1_ms)}),
        {"fp32": load},
        PipelineResult(
            **common,
            variant="v1",
            batch_size=32,
            sizes=[
                {**speed, "img_size": 112, "load_share": load_share, "pipeline_share": 0.5, "threads": 2, "images": 10}
            ],
        ),
    )


def test_no_short_run_is_committed() -> None:
    committed = Results.load(RESULTS)
    found = [committed.latency, committed.preprocessing, committed.pipeline, *committed.loads.values()]
    assert not any(result.quick for result in found if result is not None)


def test_targets_that_are_met() -> None:
    checked = check_targets(results(loaded()))
    assert len(checked) == 8
    assert all(target.met for target in checked), checked
    measured = [target.measured for target in checked]
    assert measured[0] == "25.0x (25.0 / 1.00 images/s)"
    assert measured[1] == "1.67x (50.0 / 30.0 ms)"
    assert measured[2] == "75% (25.0 / 33.3 images/s at batch size 1)"
    assert measured[3] == "96.0% (24.0 / 25.0 images/s)"
    assert measured[4] == "40.0% 200, 60.0% 429"


@pytest.mark.parametrize(
    ("position", "made"),
    [
        (0, results(loaded(naive=stretch(1.3)))),
        (1, results(loaded(single=stretch(10, p50=61)))),
        (2, results(loaded(bare={1: took(30), 8: took(200)}))),
        (3, results(loaded(overload=stretch(22, rate=83, statuses={"200": 40, "429": 60})))),
        (4, results(loaded(overload=stretch(24, rate=83, statuses={"200": 99, "503": 1})))),
        (5, results(loaded(), v1_ms=6.1)),
        (6, results(loaded(), int8_ms=20)),
        (7, results(loaded(), load_share=0.15)),
    ],
)
def test_a_missed_target_is_marked(position: int, made: Results) -> None:
    checked = check_targets(made)
    assert [index for index, target in enumerate(checked) if not target.met] == [position]
    assert make_tables(made)["targets"].count("**missed**") == 1


def test_overload_targets_are_missed_without_a_sustained_rate() -> None:
    load = loaded(trials=[stretch(20, rate=20, p99=1200)], overload=None)
    assert load.sustained is None
    checked = check_targets(results(load))
    assert [target.met for target in checked[3:5]] == [False, False]
    assert checked[3].measured == "no rate had a p99 under 1000 ms"


def test_the_highest_sustained_rate_meets_the_deadline() -> None:
    sustained = loaded().sustained
    assert sustained is not None
    assert sustained.rate == 20.75
    refused = stretch(23, rate=22, statuses={"200": 99, "429": 1})
    sustained = loaded(trials=[refused, sustained]).sustained
    assert sustained is not None
    assert sustained.rate == 20.75


def test_every_table_of_the_document_is_updated(tmp_path: Path) -> None:
    made, document = results(loaded()), tmp_path / "performance.md"
    for name, result in (("latency", made.latency), ("preprocessing", made.preprocessing), ("pipeline", made.pipeline)):
        assert result is not None
        write(result, tmp_path / f"{name}.json")
    write(made.loads["fp32"], tmp_path / "load.json")
    document.write_text(DOCUMENT.read_text())
    update_document(document, tmp_path)
    updated = document.read_text()
    assert "25.0x (25.0 / 1.00 images/s)" in updated
    assert all(f"\n{table}\n" in updated for table in make_tables(made).values())
    assert updated.split("[[[cog")[0] == DOCUMENT.read_text().split("[[[cog")[0]


def test_a_missing_document_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"performance\.md could not be updated"):
        update_document(tmp_path / "performance.md", tmp_path)


def test_short_runs_and_changed_files_are_marked() -> None:
    changed = MACHINE.model_copy(update={"modified": True})
    runs = make_tables(results(loaded(quick=True, machine=changed)))["runs"]
    assert "`wbc bench load`, **short run**" in runs
    assert "`012345678` with changes" in runs


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "results" / "load.json"
    assert read(LoadResult, path) is None
    write(loaded(), path)
    assert read(LoadResult, path) == loaded()
    path.write_text("{}")
    with pytest.raises(DataError, match=r"load\.json does not have the current result format"):
        read(LoadResult, path)
