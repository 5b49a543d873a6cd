"""A complete run: its files, the effect of its options, and that it learns."""

from __future__ import annotations

import csv
import json

import keras
import numpy as np
import pytest
from conftest import tiny_backbone
from drawn import write_dataset

from training.config import TrainingConfig, read_config
from training.fit import TrainingRecord, build_with, train
from training.prepare import data_of, plan, prepare
from training.scores import epochs_without_better, reductions
from wbc.errors import DataError


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run without a `Val` folder, with a damaged file, and with a focus threshold that cannot be reached."""
    folder = tmp_path_factory.mktemp("finished")
    write_dataset(folder / "data", {"Train": 21})
    (folder / "data" / "Train" / "Monocyte" / "000.png").write_bytes(b"\x89PNG damaged")
    config = TrainingConfig(
        data_root=folder / "data",
        results_dir=folder / "run",
        cache_dir=folder / "cache",
        model_path=folder / "elsewhere" / "kept.keras",
        weights="none",
        augmentation="published",
        preprocessing="v2",
        color_normalization="reinhard",
        normalization_reference_samples=5,
        img_size=32,
        batch_size=8,
        phase1_epochs=2,
        phase2_epochs=2,
        main_loss="focal",
        disable_aux_binary_head=True,
        ema=0,
        xai_sample_count=5,
        xai_every_n_epochs=1,
        xai_focus_threshold=1.0,
        xai_patience=1,
    )
    return config, train(config, backbone=tiny_backbone)


def test_a_run_writes_its_files(finished):
    config, record = finished
    folder = config.results_dir
    assert {path.name for path in folder.iterdir()} == {
        "best.weights.h5",
        "checkpoint.npz",
        "class_distribution.png",
        "config.yaml",
        "focus.png",
        "history.csv",
        "history.png",
        "model.keras",
        "report.html",
        "split_summary.csv",
        "tensorboard",
        "training.json",
        "unreadable.csv",
    }
    assert TrainingRecord.model_validate_json((folder / "training.json").read_text()) == record
    assert TrainingConfig(**record.config) == TrainingConfig(**read_config(folder / "config.yaml")) == config
    assert config.model_path.read_bytes() == (folder / "model.keras").read_bytes()


def test_the_record_describes_the_training_data(finished):
    config, record = finished
    assert record.val_held_out
    assert sum(record.train_counts.values()) + sum(record.val_counts.values()) == 104
    assert [path.rsplit("/", 1)[1] for path in record.unreadable] == ["000.png"]
    assert record.versions.keys() >= {"python", "backend", "keras", "numpy"}
    assert record.preprocessing.variant == "v2"
    assert record.preprocessing.reinhard is not None
    assert data_of(config).val.counts.tolist() == list(record.val_counts.values())


def test_the_model_of_the_best_epoch_is_kept(finished):
    config, record = finished
    with (config.results_dir / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = max(rows, key=lambda row: (float(row["val_balanced_accuracy"]), -float(row["val_loss"])))
    assert int(best["epoch"]) == record.best_epoch
    setup = prepare(config, build_with(tiny_backbone))
    images = np.stack([setup.cache.prepared(p, setup.preprocessor, 32) for p in setup.data.val.paths])
    model = keras.saving.load_model(config.results_dir / "model.keras")
    answers = model.predict(images, verbose=0)
    assert (answers["main_out"].argmax(axis=1) == setup.data.val.labels).mean() == pytest.approx(record.val_accuracy)
    assert (answers["aux_binary_out"] == 0).all()


def test_the_focus_monitor_ends_each_phase_separately(finished):
    config, record = finished
    assert record.stops.keys() == {"1", "2"}
    assert "focus ratio below 1 in 1 checks" in record.stops["1"]
    with (config.results_dir / "history.csv").open() as file:
        assert [row["phase"] for row in csv.DictReader(file)] == ["1", "2"]


def test_the_report_contains_scores_figures_and_configuration(finished):
    config, record = finished
    report = (config.results_dir / "report.html").read_text()
    for words in (
        "history.png",
        "focus.png",
        "class_distribution.png",
        "Phase 1 ended early: focus ratio below",
        "validation, held out of training",
        "1 unreadable files",
        "000.png",
        f"<td>keras</td><td>{record.versions['keras']}</td>",
        "color_normalization",
        "<td>seed</td><td class=number>1</td>",
    ):
        assert words in report


def test_it_learns_and_stops_early_and_reduces_the_learning_rate(settings_for):
    config = settings_for(
        phase1_epochs=0,
        phase2_epochs=40,
        phase2_lr=0.01,
        early_stop_patience=6,
        lr_patience=2,
        lr_factor=0.1,
        epoch_size=40,
    )
    record = train(config, backbone=tiny_backbone)
    state = json.loads(str(np.load(config.results_dir / "checkpoint.npz")["state"]))
    rows = state["history"]
    assert min(row["loss"] for row in rows) < rows[0]["loss"] / 2
    assert len(rows) < 40
    assert record.stops == {"2": "6 epochs without a better one"}
    assert [epochs_without_better(rows[: n + 1]) < 6 for n in range(len(rows))] == [True] * (len(rows) - 1) + [False]
    for number, row in enumerate(rows):
        assert row["learning_rate"] == pytest.approx(0.01 * 0.1 ** reductions(rows[:number], 2), rel=1e-5)


def test_a_plan_writes_nothing_but_the_cache(settings_for):
    config = settings_for(unfreeze_from="conv_3")
    text = plan(prepare(config, build_with(tiny_backbone)))
    assert not config.results_dir.exists()
    assert "Train: 30 images (Basophil 6, Eosinophil 6" in text
    assert "phase 2: 1 epochs of 3 steps" in text
    assert "one batch: 8 images" in text
    assert "logits (8, 5), finite" in text


def test_no_validation_image_of_a_class_is_an_error_of_the_data(settings_for, tmp_path):
    write_dataset(tmp_path / "few", {"Train": 1})
    with pytest.raises(DataError, match="one image of Basophil"):
        train(settings_for(data_root=tmp_path / "few"), backbone=tiny_backbone)


def test_input_reduction_halves_the_image_in_the_graph(settings_for):
    sides = [
        build_with(tiny_backbone)(settings_for(input_reduction=factor)).get_layer("conv_1").input.shape[1]
        for factor in (1, 2)
    ]
    assert sides == [32, 16]
