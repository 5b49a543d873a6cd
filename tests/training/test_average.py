"""The average of several runs: weights, scores and invalid input."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from conftest import tiny_backbone
from drawn import write_dataset

from training.average import average_runs
from training.config import TrainingConfig
from training.fit import TrainingRecord, train
from wbc.errors import InvalidParameter


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Two runs that went out from the same weights with different seeds."""
    folder = tmp_path_factory.mktemp("seeds")
    write_dataset(folder / "data", {"Train": 12, "Val": 4})

    def trained(name, **changes):
        config = TrainingConfig(
            data_root=folder / "data",
            results_dir=folder / name,
            cache_dir=folder / "cache",
            augmentation="none",
            img_size=32,
            batch_size=8,
            phase1_epochs=0,
            phase2_epochs=1,
            xai_sample_count=0,
            tensorboard=False,
            **changes,
        )
        train(config, backbone=tiny_backbone)
        return folder / name

    start = trained("start", weights="none")
    return [trained(f"seed{seed}", seed=seed, weights=str(start / "model.keras")) for seed in (1, 2)]


def trainable(folder):
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    return [weight.numpy() for weight in model.weights if not weight.path.endswith(("moving_mean", "moving_variance"))]


def test_the_mean_of_two_runs_is_a_run_with_the_mean_of_their_weights(seeds, tmp_path):
    record = average_runs(seeds, tmp_path / "mean")
    for mean, one, other in zip(*(trainable(f) for f in (tmp_path / "mean", *seeds)), strict=True):
        np.testing.assert_allclose(mean, (one + other) / 2, atol=1e-6)
    assert record == TrainingRecord.model_validate_json((tmp_path / "mean" / "training.json").read_bytes())
    assert [run["seed"] for run in record.averaged] == [1, 2]
    assert record.averaged[0]["val_loss"] != record.averaged[1]["val_loss"]
    assert record.val_loss < max(run["val_loss"] for run in record.averaged)  # runs from one point have a mean


def test_the_mean_of_a_run_with_itself_scores_as_the_run(seeds, tmp_path):
    record = average_runs([seeds[0], seeds[0]], tmp_path / "same")
    # Its batch statistics are estimated again, on more batches than the run's.
    assert record.val_loss < record.averaged[0]["val_loss"] + 0.1


def test_what_cannot_be_averaged_is_refused(seeds, tmp_path):
    with pytest.raises(InvalidParameter, match="received 1 runs; two or more"):
        average_runs(seeds[:1], tmp_path / "one")
    with pytest.raises(InvalidParameter, match=r"has no training\.json"):
        average_runs([seeds[0], tmp_path], tmp_path / "none")
    other = tmp_path / "other"
    other.mkdir()
    changed = json.loads((seeds[1] / "training.json").read_text())
    changed["config"]["weights"] = "another.keras"
    (other / "training.json").write_text(json.dumps(changed))
    (other / "model.keras").write_bytes((seeds[1] / "model.keras").read_bytes())
    with pytest.raises(InvalidParameter, match=r"differs .* in weights; only seeds may"):
        average_runs([seeds[0], other], tmp_path / "mixed")
    with pytest.raises(InvalidParameter, match="holds a run already"):
        average_runs(seeds, seeds[0])


def test_a_share_of_the_start_moves_the_mean_back(seeds, tmp_path):
    record = average_runs(seeds, tmp_path / "back", start_share=0.25)
    assert record.start_share == 0.25
    start = seeds[0].parent / "start"
    for moved, begun, one, other in zip(*(trainable(f) for f in (tmp_path / "back", start, *seeds)), strict=True):
        np.testing.assert_allclose(moved, 0.25 * begun + 0.75 * (one + other) / 2, atol=1e-6)
