"""Listing of image files, and names that cannot be encoded."""

from __future__ import annotations

import os
from pathlib import Path

from click.testing import CliRunner

from tests.evaluation.toy import picture, sure, write_toy_bundle
from wbc.cli import main
from wbc.files import list_images, printable
from wbc.images import encode_png


def test_links_dot_names_and_extensions(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    (root / "sub.png").mkdir(parents=True)
    other.mkdir()
    for name in ("a.JFIF", "b.jpe", "c.dib", "._a.png", ".hidden.png", "notes.txt", "sub.png/d.webp"):
        (root / name).write_bytes(b"")
    (other / "e.png").write_bytes(b"")
    (root / "linked").symlink_to(other)
    (root / "again").symlink_to(other)
    (root / "loop").symlink_to(root)
    (root / "gone.png").symlink_to(root / "nowhere")
    images, others = list_images(root)
    names = [path.relative_to(root).as_posix() for path in images]
    assert len(names) == 6
    assert {"a.JFIF", "b.jpe", "c.dib", "gone.png", "sub.png/d.webp"} < set(names)
    assert {"linked/e.png", "again/e.png"} & set(names)
    assert others == 1


def test_unreadable_files_fail_alone(tmp_path: Path) -> None:
    bundle = write_toy_bundle(tmp_path / "bundle").path
    cells = tmp_path / "cells"
    cells.mkdir()
    (cells / "gone.png").symlink_to(cells / "nowhere")
    (cells / "notes.txt").write_text("no image")
    Path(os.fsdecode(os.fsencode(cells) + b"/K\xf6nig.png")).write_bytes(encode_png(picture(sure("Monocyte"))))
    for command in (["predict"], ["gradcam", "--output-dir", str(tmp_path / "out")], ["differential"]):
        result = CliRunner().invoke(main, [*command, "--bundle", str(bundle), str(cells)])
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert result.exit_code == (0 if command == ["differential"] else 1)
        assert "1 files not named like an image" in result.stderr
        assert "gone.png" in result.output
        assert "Monocyte" in result.stdout


def test_names_are_printable() -> None:
    assert printable(Path(os.fsdecode(b"K\xf6nig.png"))) == "K\\xf6nig.png"
    assert printable("Zürich.png") == "Zürich.png"
