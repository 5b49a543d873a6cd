"""`wbc score` on this machine: rows, errors, and runs that are stopped and started again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from tests.evaluation.toy import write_toy_bundle
from wbc.analyzer import Analyzer
from wbc.bundle import Bundle
from wbc.cli import main
from wbc.labels import CLASSES
from wbc.score.store import SCHEMA, Store


def score(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["score", *map(str, args)])


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """All rows of a result, as any reader of Parquet sees them."""
    return [row for part in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]


@pytest.fixture(scope="module")
def result(toy: Bundle, cells: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    output = tmp_path_factory.mktemp("result")
    return score(cells, "--output", output, "--bundle", toy.path, "--batch-size", 4), output


class TestRows:
    def test_exit_code_and_summary(self, result: tuple[Result, Path]) -> None:
        assert result[0].exit_code == 0, result[0].output
        assert (
            "33 images, 0 had a row already, 31 classified, 1 of them for review, 2 with an error" in result[0].output
        )

    def test_one_row_a_file(self, result: tuple[Result, Path], cells: Path) -> None:
        names = [row["path"] for row in rows_of(result[1])]
        assert names == sorted(names)
        assert set(names) == {p.relative_to(cells).as_posix() for p in cells.rglob("*.png")}

    def test_folder_is_a_data_set(self, result: tuple[Result, Path]) -> None:
        assert pq.read_table(result[1]).num_rows == 33

    def test_name_that_is_not_utf8(self, toy: Bundle, cells: Path, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        name = os.fsencode(tmp_path / "in") + b"/K\xf6nig.png"
        Path(os.fsdecode(name)).write_bytes((cells / "unsure.png").read_bytes())
        assert score(tmp_path / "in", "--output", tmp_path / "out", "--bundle", toy.path).exit_code == 0
        (row,) = rows_of(tmp_path / "out")
        assert (row["path"], row["class"]) == ("K\\xf6nig.png", "Monocyte")

    def test_columns(self, result: tuple[Result, Path]) -> None:
        (part,) = result[1].glob("part-*.parquet")
        assert pq.read_schema(part).equals(SCHEMA)

    def test_answers_are_those_of_the_served_path(self, result: tuple[Result, Path], toy: Bundle, cells: Path) -> None:
        analyzer = Analyzer.load(toy)
        for row in rows_of(result[1]):
            if row["error"] is not None:
                continue
            data = (cells / row["path"]).read_bytes()
            found = analyzer.analyze(data)
            assert row["class"] == found.label
            assert row["confidence"] == pytest.approx(found.confidence, abs=1e-6)
            assert [row[f"probability_{c}"] for c in CLASSES] == pytest.approx(found.probabilities.tolist(), abs=1e-6)
            assert row["reasons"] == [reason.code for reason in found.review]
            assert row["review"] == bool(found.review)
            assert row["distance"] is None  # this bundle has no statistics for it
            assert row["sha256"] == hashlib.sha256(data).hexdigest()
            assert (row["model_version"], row["bundle_sha256"], row["graph"]) == ("toy 1", toy.sha256, "fp32")

    def test_error_row(self, result: tuple[Result, Path]) -> None:
        row, gone = (row for row in rows_of(result[1]) if row["error"] is not None)
        assert (gone["path"], gone["error_code"], gone["sha256"]) == ("gone.png", "unreadable_file", None)
        assert (row["path"], row["error_code"]) == ("broken.png", "unsupported_format")
        assert "images are accepted" in row["error"]
        assert row["sha256"] == hashlib.sha256(b"no image").hexdigest()
        assert row["class"] is row["confidence"] is row["review"] is row["reasons"] is None

    def test_file_that_is_not_there(self, toy: Bundle, cells: Path, tmp_path: Path) -> None:
        (tmp_path / "list").write_text(f"{cells}/gone.png\n{cells}/unsure.png\n")
        found = score(tmp_path / "list", "--output", tmp_path / "out", "--bundle", toy.path)
        assert found.exit_code == 0
        gone, unsure = rows_of(tmp_path / "out")
        assert (gone["error_code"], gone["error"], gone["sha256"]) == (
            "unreadable_file",
            "No such file or directory",
            None,
        )
        assert unsure["class"] == "Monocyte"


class TestAgain:
    def test_finished_run_does_nothing(self, result: tuple[Result, Path], toy: Bundle, cells: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in result[1].iterdir()}
        again = score(cells, "--output", result[1], "--bundle", toy.path)
        assert again.exit_code == 0
        assert "33 had a row already, 0 classified" in again.output
        assert {path: path.stat().st_mtime_ns for path in result[1].iterdir()} == before

    def test_other_bundle(self, result: tuple[Result, Path], cells: Path, tmp_path: Path) -> None:
        other = write_toy_bundle(tmp_path / "other", version="2")
        refused = score(cells, "--output", result[1], "--bundle", other.path)
        assert refused.exit_code == 1
        assert "[bundle_mismatch]" in refused.output
        assert {row["bundle_sha256"] for row in rows_of(result[1])} != {other.sha256}

    def test_other_input(self, result: tuple[Result, Path], toy: Bundle, cells: Path) -> None:
        refused = score(cells / "Monocyte", "--output", result[1], "--bundle", toy.path)
        assert refused.exit_code == 1
        assert "[invalid_parameter]" in refused.output

    def test_new_files_are_added(self, toy: Bundle, cells: Path, tmp_path: Path) -> None:
        shutil.copytree(cells / "Monocyte", tmp_path / "in")
        score(tmp_path / "in", "--output", tmp_path / "out", "--bundle", toy.path)
        shutil.copy(cells / "unsure.png", tmp_path / "in" / "new.png")
        again = score(tmp_path / "in", "--output", tmp_path / "out", "--bundle", toy.path)
        assert "7 images, 6 had a row already, 1 classified" in again.output
        assert sorted(row["path"] for row in rows_of(tmp_path / "out")) == [*(f"{n}.png" for n in range(6)), "new.png"]

    def test_two_runs_at_once(self, result: tuple[Result, Path], toy: Bundle, cells: Path) -> None:
        made_of = json.loads((result[1] / "_score.json").read_text())
        with Store(result[1], made_of).locked():
            refused = score(cells, "--output", result[1], "--bundle", toy.path)
        assert refused.exit_code == 1
        assert "another run is writing into" in refused.output

    def test_killed_at_any_time(self, toy: Bundle, cells: Path, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        for number in range(400):
            (tmp_path / "in" / f"{number:03d}.png").hardlink_to(cells / CLASSES[number % 5] / "0.png")
        output = tmp_path / "out"
        command = [
            Path(sys.executable).with_name("wbc"),
            "score",
            tmp_path / "in",
            "--output",
            output,
            "--bundle",
            toy.path,
        ]
        command += ["--batch-size", "1", "--workers", "1"]
        for kills in (1, 2):
            process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            while len(list(output.glob("part-*"))) < 2 * kills and process.poll() is None:
                time.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kept = [row["path"] for row in rows_of(output)]  # each part can be read
            assert len(kept) == len(set(kept))
        finished = score(tmp_path / "in", "--output", output, "--bundle", toy.path)
        assert finished.exit_code == 0
        rows = rows_of(output)
        assert sorted(row["path"] for row in rows) == sorted(f"{n:03d}.png" for n in range(400))
        assert all(row["class"] == CLASSES[int(row["path"][:3]) % 5] for row in rows)


class TestReport:
    def test_runs_are_gathered_and_replaced(self, toy: Bundle, cells: Path, tmp_path: Path) -> None:
        report = tmp_path / "score.json"
        for number, workers in enumerate((2, 1, 2)):
            args = (cells, "--output", tmp_path / str(number), "--bundle", toy.path, "--report", report)
            assert score(*args, "--workers", str(workers)).exit_code == 0
        runs = json.loads(report.read_text())["runs"]
        assert [(run["engine"], run["workers"]) for run in runs] == [("local", 1), ("local", 2)]
        for run in runs:
            assert run["images_per_second"] == pytest.approx(33 / run["wall_s"], rel=0.05)
            assert (run["answered"], run["errors"]) == (31, {"unreadable_file": 1, "unsupported_format": 1})

    def test_resumed_run_is_not_reported(self, result: tuple[Result, Path], toy: Bundle, cells: Path) -> None:
        refused = score(cells, "--output", result[1], "--bundle", toy.path, "--report", result[1] / "report.json")
        assert refused.exit_code == 1
        assert "a report needs a run from the start" in refused.output


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ([], 2, "Missing argument 'INPUT'"),
        (["nowhere"], 2, "Missing option '--output'"),
        (["nowhere", "--output", "{out}"], 1, "nowhere is not a folder"),
        (["nowhere", "--output", "{out}", "--engine", "spark"], 2, "'spark' is not one of"),
        (["nowhere", "--output", "{out}", "--batch-size", "0"], 2, "greater than or equal to 1"),
    ],
)
def test_usage(tmp_path: Path, args: list[str], code: int, words: str) -> None:
    found = score(*(arg.format(out=tmp_path / "out") for arg in args))
    assert found.exit_code == code
    assert words in found.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("engine", "package", "extra"), [("local", "pyarrow", "score"), ("ray", "ray", "ray")])
def test_missing_package_names_its_extra(tmp_path: Path, engine: str, package: str, extra: str) -> None:
    # In a process that cannot import it, as where the extra was not installed.
    hidden = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from wbc.cli import main; main(['score', '.', '--output', {str(tmp_path / 'out')!r}, '--engine', {engine!r}])"
    )
    found = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stderr
    assert f"--engine {engine} needs {package}: pip install 'wbc[{extra}]'" in found.stderr
