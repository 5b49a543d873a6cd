"""README and generated documents agree with the code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import httpx
import numpy as np
import pytest

from evaluation.model_card import render_card
from evaluation.results import EVALUATION, read_evaluation
from tests.drawn import drawn_cell
from tests.served import ROOT
from wbc.bundle import Bundle
from wbc.cli import main
from wbc.images import encode_jpeg
from wbc.labels import CLASSES
from wbc.settings import REPOSITORY

README = (ROOT / "README.md").read_text()
SHELL = [
    line.split(" #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
SHIPPED = REPOSITORY / "models" / "default"


def test_model_card_has_the_numbers_of_the_evaluation() -> None:
    result = read_evaluation(SHIPPED / EVALUATION)
    assert (SHIPPED / "MODEL_CARD.md").read_text() == render_card(Bundle.load(SHIPPED).manifest, result)


@pytest.mark.parametrize("document", ["README.md", "docs/evaluation.md", "docs/saliency.md"])
def test_tables_of_documents_are_generated(document: str) -> None:
    cog = Path(sys.executable).with_name("cog")
    checked = subprocess.run([cog, "--check", "-U", document], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}run `make docs`"


def test_evaluation_is_of_the_shipped_bundle_and_passes_its_floor() -> None:
    result = read_evaluation(SHIPPED / EVALUATION)
    assert result.model["sha256"] == Bundle.load(SHIPPED).sha256
    test_a = next(domain for domain in result.domains if domain.name == "TestA")
    assert test_a.metrics.accuracy.value >= 0.97
    assert test_a.metrics.images == 1545


@pytest.mark.parametrize("line", [line for line in SHELL if line.startswith(".venv/bin/wbc")])
def test_readme_names_commands_and_options_that_exist(line: str) -> None:
    words = shlex.split(line)[1:]
    context = click.Context(main, info_name="wbc")
    command = main.get_command(context, words[0])
    assert command is not None, words[0]
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    assert {word for word in words[1:] if word.startswith("-")} <= known


@pytest.mark.parametrize("line", [line for line in SHELL if line.startswith("make")])
def test_readme_names_targets_that_exist(line: str) -> None:
    assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_readme_curl_is_answered(server_url: str, tmp_path: Path) -> None:
    (line,) = (line for line in SHELL if line.startswith("curl"))
    found = re.fullmatch(r"curl -F (\w+)=@(\S+) localhost:3000(/\w+)", line)
    assert found is not None, line
    cell = tmp_path / found[2]
    cell.write_bytes(encode_jpeg(drawn_cell("Monocyte", np.random.default_rng(1))))
    with cell.open("rb") as file:
        response = httpx.post(server_url + found[3], files={found[1]: file}, timeout=60)
    assert response.status_code == 200
    for key in re.findall(r"`(class|confidence|all_probabilities|gradcam_image|llm_report)`", README):
        assert key in response.json()


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_readme_python_example_prints_a_class(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "cell.jpg").write_bytes(encode_jpeg(drawn_cell("Lymphocyte", np.random.default_rng(1))))
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() in CLASSES
