"""The commands: arguments, exit code and output."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from training.cli import compare_backbones, train
from training.data_cli import data
from training.fit import TrainingRecord
from wbc.preprocessing.pipeline import Preprocessing


def run(command, *arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments])


@pytest.fixture
def seen(monkeypatch):
    """The arguments that `wbc train` passes to the training."""
    given = {}

    def fake(config, *, resume=False):
        given.update(config=config, resume=resume)
        return TrainingRecord(
            config={},
            preprocessing=Preprocessing(),
            train_counts={},
            val_counts={},
            best_epoch=3,
            val_accuracy=0.9,
            val_balanced_accuracy=0.8,
            val_loss=0.1,
            wall_time_s=5,
            versions={},
            stops={"2": "focus ratio below 0.2"},
        )

    monkeypatch.setattr("training.fit.train", fake)
    return given


def test_the_command_line_wins_over_the_file(seen, tmp_path):
    (tmp_path / "run.toml").write_text('seed = 4\nbatch_size = 5\naugmentation = "published"\ntensorboard = false\n')
    result = run(train, "--config", tmp_path / "run.toml", "--seed", 9, "--crop-prob", 0.7, "--cache-dir", "none")
    assert result.exit_code == 0, result.output
    config = seen["config"]
    assert (config.seed, config.batch_size, config.augmentation) == (9, 5, "published")
    assert (config.crop_prob, config.bg_randomization_prob, config.cache_dir) == (0.7, 0.15, None)
    assert not config.tensorboard
    assert not seen["resume"]
    assert "epoch 3, validation accuracy 0.9000" in result.output
    assert "phase 2 ended early: focus ratio below 0.2" in result.output


def test_the_published_command_line_is_taken(seen, tmp_path):
    line = [
        "--phase1-epochs",
        "15",
        "--phase2-epochs",
        "15",
        "--main-loss",
        "cce",
        "--label-smoothing",
        "0.1",
        "--crop-prob",
        "0.2",
        "--bg-randomization-prob",
        "0.15",
        "--stain-jitter-prob",
        "0.3",
        "--aux-loss-weight",
        "1.0",
        "--xai-focus-threshold",
        "0.55",
        "--xai-every-n-epochs",
        "2",
        "--resume",
        "--disable-aux-binary-head",
    ]
    assert run(train, *line, "--model-path", tmp_path / "m.keras").exit_code == 0
    assert seen["resume"]
    assert seen["config"].disable_aux_binary_head
    assert (seen["config"].stain_jitter_prob, seen["config"].xai_focus_threshold) == (0.3, 0.55)


def test_an_error_of_the_data_is_a_message_and_exit_code_1(tmp_path):
    result = run(train, "--data-root", tmp_path / "nowhere", "--results-dir", tmp_path / "run", "--cache-dir", "none")
    assert result.exit_code == 1
    assert result.output.startswith("Error: no split 'Train'") or "no folder" in result.output
    assert "Traceback" not in result.output


def test_a_dry_run_shows_the_resolved_configuration(monkeypatch, tmp_path, seen):
    monkeypatch.setattr("training.prepare.prepare", lambda config, build: config)
    monkeypatch.setattr("training.prepare.plan", lambda config: f"the plan of seed {config.seed}")
    result = run(train, "--dry-run", "--seed", 6, "--augmentation", "published", "--results-dir", tmp_path / "run")
    assert result.exit_code == 0
    assert "the plan of seed 6" in result.output
    assert [line.split() for line in result.output.splitlines() if line.startswith("--crop-prob")] == [
        ["--crop-prob", "0.2"]
    ]
    assert seen == {}
    assert not (tmp_path / "run").exists()


def test_summary_prints_the_counts_and_draws_them(dataset, tmp_path):
    result = run(data, "summary", "--data-root", dataset, "--chart", tmp_path / "chart.png")
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.output.splitlines()[1:3]] == [
        ["Train", *["6"] * 5, "30"],
        ["Val", *["3"] * 5, "15"],
    ]
    assert (tmp_path / "chart.png").stat().st_size > 1000


def test_check_reports_findings_and_fails(dataset, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(dataset, root)
    assert run(data, "check", "--data-root", root).exit_code == 0
    (root / "Val" / "Basophil" / "000.png").write_bytes((root / "Train" / "Basophil" / "000.png").read_bytes())
    (root / "Val" / "Basophil" / "001.png").write_bytes(b"damaged")
    result = run(data, "check", "--data-root", root)
    assert result.exit_code == 1
    assert "1 unreadable" in result.output
    assert "1 in two splits" in result.output
    assert "Train/Basophil/000.png = " in result.output


@pytest.mark.parametrize("policy", ["published", "robust"])
def test_preview_draws_a_contact_sheet(dataset, tmp_path, policy):
    out = tmp_path / "sheet.png"
    result = run(
        data,
        "preview",
        "--data-root",
        dataset,
        "--augmentation",
        policy,
        "--versions",
        2,
        "--out",
        out,
        "--cache-dir",
        "none",
    )
    assert result.exit_code == 0, result.output
    assert out.stat().st_size > 10_000


def test_several_models_can_be_named(monkeypatch, tmp_path):
    received = {}

    def fake(config, models=("all",)):
        received.update(config=config, models=models)
        return []

    monkeypatch.setattr("training.compare.compare", fake)
    monkeypatch.setattr("training.compare.table", lambda rows: "the table")
    result = run(compare_backbones, "--fast", "--models", "VGG16", "MobileNetV2", "--seed", 2, "--weights", "none")
    assert result.exit_code == 0, result.output
    assert received["models"] == ("VGG16", "MobileNetV2")
    assert (received["config"].seed, received["config"].limit, received["config"].img_size) == (2, 60, 96)
    assert run(compare_backbones, "VGG16").exit_code == 2
    assert run(compare_backbones, "--img-size", 64, "--fast").exit_code == 0
    assert (received["config"].img_size, received["models"]) == (64, ("all",))


def test_an_unknown_network_is_refused():
    result = run(compare_backbones, "--models", "VGG19")
    assert result.exit_code == 1
    assert "models VGG19; VGG16, ResNet50V2" in result.output
