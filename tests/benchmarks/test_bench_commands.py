"""Every command of `wbc bench` runs in its short form and writes a valid result."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.cells import draw_cell, load_pictures
from benchmarks.record import FilterResult, LoadResult, StageResult, read
from benchmarks.timing import pin_to_one_core
from wbc.cli import main
from wbc.errors import DataError
from wbc.images import decode
from wbc.machine import Machine
from wbc.preprocessing.enhance import VARIANTS
from wbc.preprocessing.foreground import find_foreground


def bench(*words: str) -> str:
    """Run `wbc bench` and return its output."""
    # The server that `load` starts inherits this: Keras takes ten seconds to load and is not measured here.
    done = CliRunner().invoke(main, ["bench", *words], env={"WBC_GRADCAM": "false"})
    assert done.exit_code == 0, done.output
    return done.output


def test_latency(tiny_bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "latency.json"
    printed = bench("latency", "--quick", "--bundle", str(tiny_bundle), "--output", str(output))
    found = read(StageResult, output)
    assert found is not None
    assert found.quick
    assert found.bundle.name == "tiny"
    assert {"decode", "framing and foreground", "filter", "heatmap", "overlay", "encode"} < set(found.stages)
    assert all(0 <= s.p5_ms <= s.median_ms <= s.p95_ms for s in found.stages.values())
    assert list(found.forward["fp32"]) == [1, 8, 32]
    assert found.providers["fp32"] in found.available
    assert "| forward, batch 32 |" in printed


def test_latency_of_a_graph_that_is_not_there(tiny_bundle: Path) -> None:
    done = CliRunner().invoke(main, ["bench", "latency", "--quick", "--bundle", str(tiny_bundle), "--graph", "fp16"])
    assert done.exit_code == 1
    assert "has no fp16 graph" in done.output


def test_preprocessing(tmp_path: Path) -> None:
    output, cores = tmp_path / "preprocessing.json", os.sched_getaffinity(0)
    bench("preprocessing", "--quick", "--output", str(output))
    found = read(FilterResult, output)
    assert found is not None
    assert tuple(found.variants) == VARIANTS
    assert found.size == 224
    assert os.sched_getaffinity(0) == cores


def test_load_against_the_real_server(tiny_bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "load.json"
    printed = bench("load", "--quick", "--bundle", str(tiny_bundle), "--output", str(output))
    found = read(LoadResult, output)
    assert found is not None
    assert found.naive is not None
    assert found.naive.sent >= 2
    assert set(found.naive.statuses) <= {"200"}  # none where a slow machine answered in the warm-up alone
    assert found.single.sent >= 1
    assert set(found.single.statuses) <= {"200"}
    assert found.single.mean_batch == 1.0
    assert list(found.saturated) == [8]
    assert len(found.trials) == 2
    assert "| naive Keras server |" in printed
    if found.sustained is not None:
        assert found.overload is not None
        assert found.overload.rate == pytest.approx(4 * (found.sustained.rate or 0), rel=1e-3)


def test_the_affinity_is_restored() -> None:
    before = os.sched_getaffinity(0)
    with pin_to_one_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


def test_machine() -> None:
    here = Machine.here()
    assert here.cores >= 1
    assert here.cpu
    assert {"python", "numpy", "wbc"} <= set(here.versions)
    assert json.loads(here.model_dump_json())["started"].endswith("+00:00")


def test_drawn_cells_are_found_and_differ() -> None:
    drawn, described = load_pictures(None, 4)
    assert described == "4 drawn cells, JPEG, 360x360 pixels"
    assert len(set(drawn)) == 4
    assert drawn == load_pictures(None, 4)[0]
    assert all(find_foreground(decode(data)).valid for data in drawn)


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    import numpy as np

    from wbc.images import encode_png

    with pytest.raises(DataError, match="no image file in"):
        load_pictures(tmp_path, 4)
    rng = np.random.default_rng(0)
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(encode_png(draw_cell(rng, 64)))
    data, described = load_pictures(tmp_path, 3)
    assert described == f"3 files of {tmp_path.name}"
    assert data == [(tmp_path / f"{number}.png").read_bytes() for number in (0, 2, 5)]
