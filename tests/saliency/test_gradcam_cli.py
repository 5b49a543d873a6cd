"""`wbc gradcam`: its output files, both computations, and invalid input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.drawn import drawn_cell
from wbc.cli import main
from wbc.cli.gradcam import gradcam
from wbc.images import decode, encode_png
from wbc.saliency.overlay import INFERNO, with_colour_bar
from wbc.saliency.sheet import Tile, contact_sheet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two cells of the same file name in two folders."""
    rng = np.random.default_rng(2)
    for name in ("Lymphocyte", "Monocyte"):
        (tmp_path / "cells" / name).mkdir(parents=True)
        (tmp_path / "cells" / name / "cell.png").write_bytes(encode_png(drawn_cell(name, rng)))
    return tmp_path / "cells"


def run(bundle: Path, out: Path, *args: str) -> Result:
    wbc = type(main)(commands={"gradcam": gradcam})
    return CliRunner().invoke(wbc, ["gradcam", "--bundle", str(bundle), "--output-dir", str(out), *args])


def test_writes_overlay_map_and_sheet(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    found = run(tiny_bundle, tmp_path / "out", str(folder))
    assert found.exit_code == 0, found.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cell-2.map.png",
        "cell-2.overlay.png",
        "cell.map.png",
        "cell.overlay.png",
        "contact_sheet.png",
    ]
    overlay = decode((tmp_path / "out" / "cell.overlay.png").read_bytes())
    heat = decode((tmp_path / "out" / "cell.map.png").read_bytes())
    assert heat.shape == (224, 224, 3)
    assert heat.max() == 255
    assert overlay.shape[0] == 224
    assert overlay.shape[1] > 224
    assert found.output.count("[closed form, attention]") == 2


def test_both_methods_agree(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    for method in ("closed_form", "keras"):
        found = run(tiny_bundle, tmp_path / method, str(folder), "--method", method, "--class", "monocyte")
        assert found.exit_code == 0, found.output
        assert found.output.count("Monocyte") >= 2
    maps = [
        decode((tmp_path / method / "cell.map.png").read_bytes()).astype(np.int64)
        for method in ("closed_form", "keras")
    ]
    assert np.abs(maps[0] - maps[1]).max() <= 1


def test_a_layer_means_keras(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    found = run(tiny_bundle, tmp_path / "out", str(folder / "Monocyte" / "cell.png"), "--layer", "conv_2")
    assert found.exit_code == 0, found.output
    assert "[keras, conv_2]" in found.output


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--layer", "conv_2", "--method", "closed_form"], (1, "method=keras accepts any layer")),
        (["--layer", "nowhere"], (1, "layer='nowhere' has no activation map")),
        (["--class", "Platelet"], (2, "Platelet")),
        (["--method", "guess"], (2, "guess")),
    ],
)
def test_refuses(tiny_bundle: Path, folder: Path, tmp_path: Path, args: list[str], expected: tuple[int, str]) -> None:
    code, words = expected
    found = run(tiny_bundle, tmp_path / "out", str(folder / "Monocyte" / "cell.png"), *args)
    assert found.exit_code == code
    assert words in found.output


def test_an_unreadable_image_is_named_and_the_others_are_written(
    tiny_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    found = run(tiny_bundle, tmp_path / "out", str(folder))
    assert found.exit_code == 1
    assert "broken.png" in found.output
    assert (tmp_path / "out" / "cell.overlay.png").is_file()


def test_a_folder_without_images(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = run(tiny_bundle, tmp_path / "out", str(tmp_path / "empty"))
    assert found.exit_code == 2
    assert "no image file" in found.output


def test_the_default_needs_no_tensorflow(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from wbc.cli.gradcam import gradcam\n"
        "gradcam(sys.argv[1:], standalone_mode=False)\n"
        "loaded = {'tensorflow', 'keras'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    args = [str(folder), "--bundle", str(tiny_bundle), "--output-dir", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_colour_bar_runs_from_one_down_to_zero() -> None:
    picture = np.full((120, 80, 3), 9, np.uint8)
    out = with_colour_bar(picture)
    np.testing.assert_array_equal(out[:, :80], picture)
    column = out[:, 80 + 10]
    np.testing.assert_array_equal(column[8], INFERNO[255])
    np.testing.assert_array_equal(column[-9], INFERNO[0])
    assert (picture == 9).all()


def test_a_sheet_has_a_place_for_every_tile() -> None:
    tiles = [Tile(np.full((40, 30, 3), 10 * i, np.uint8), (f"name {i} that is far too long for it",)) for i in range(5)]
    sheet = contact_sheet(tiles, columns=2, title="title")
    for i in range(5):
        assert (sheet == 10 * i).all(axis=2).sum() >= 40 * 30
    assert contact_sheet(tiles[:1]).shape[1] < sheet.shape[1]
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
