"""`wbc score --engine ray` on a Ray that really runs on this machine."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from wbc.bundle import Bundle

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra `ray`")

WBC = Path(sys.executable).with_name("wbc")


def scored(cells: Path, output: Path, toy: Bundle, *options: str) -> list[dict[str, Any]]:
    """Rows by name. The command runs in a process of its own, with which its cluster ends."""
    import pyarrow.parquet as pq

    command = [WBC, "score", cells, "--output", output, "--bundle", toy.path, "--batch-size", "4", "--workers", "2"]
    done = subprocess.run([*map(str, command), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [row for part in sorted(output.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]
    return sorted(rows, key=lambda row: str(row["path"]))


def test_rows_are_those_of_the_local_engine(toy: Bundle, cells: Path, tmp_path: Path) -> None:
    here = scored(cells, tmp_path / "local", toy)
    there = scored(cells, tmp_path / "ray", toy, "--engine", "ray")
    assert len(here) == len(there) == 33
    for ours, theirs in zip(here, there, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            expected = pytest.approx(value, abs=1e-6) if isinstance(value, float) else value
            assert theirs[name] == expected, (ours["path"], name)
    # The local engine goes on where Ray stopped, and finds nothing left to do.
    assert scored(cells, tmp_path / "ray", toy) == there
