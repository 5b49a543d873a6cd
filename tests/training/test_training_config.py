"""The configuration: published names, its file, and invalid values."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from training.augment import PUBLISHED_STEPS
from training.cli import train
from training.config import TrainingConfig, parse_class_weights, read_config, save_config
from wbc.cli.options import flag
from wbc.errors import InvalidParameter

PUBLISHED = [
    "--data-root",
    "--source",
    "--val-fraction",
    "--seed",
    "--img-size",
    "--batch-size",
    "--phase1-epochs",
    "--phase2-epochs",
    "--model-path",
    "--results-dir",
    "--crop-prob",
    "--bg-randomization-prob",
    "--bg-randomization-strength",
    "--stain-jitter-prob",
    "--neutrophil-aug-scale",
    "--lymphocyte-aug-scale",
    "--disable-aux-binary-head",
    "--aux-loss-weight",
    "--aux-positive-class",
    "--aux-negative-class",
    "--color-normalization",
    "--normalization-reference-samples",
    "--main-loss",
    "--label-smoothing",
    "--focal-class-weights",
    "--xai-sample-count",
    "--xai-every-n-epochs",
    "--xai-focus-threshold",
    "--xai-patience",
    "--dry-run",
    "--weights",
    "--resume",
    "--preprocessing",
    "--config",
]


def test_every_published_option_and_every_field_is_there():
    there = {name for option in train.params for name in (*option.opts, *option.secondary_opts)}
    assert there >= set(PUBLISHED)
    assert there >= {flag(name) for name in TrainingConfig.model_fields}


def test_every_option_has_help():
    assert [option.name for option in train.params if isinstance(option, click.Option) and not option.help] == []


def test_a_saved_configuration_is_read_back(tmp_path):
    config = TrainingConfig(augmentation="published", framing="off", main_loss="focal", cache_dir=None, seed=9)
    save_config(config, tmp_path / "config.yaml")
    assert TrainingConfig(**read_config(tmp_path / "config.yaml")) == config


@pytest.mark.parametrize(
    ("name", "text"),
    [("c.yaml", "batch-size: 4\nframing: off\n"), ("c.toml", 'batch_size = 4\nframing = "off"\n')],
)
def test_files_of_both_kinds_are_read(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    config = TrainingConfig(**read_config(tmp_path / name))
    assert (config.batch_size, config.framing.mode) == (4, "off")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("c.yaml", "epochs: 3", "no such setting"),
        ("c.yaml", "a: [1", "cannot be read"),
        ("c.toml", "a = ", "cannot be read"),
        ("c.yaml", "- 1", "a table of settings"),
        ("c.json", "{}", ".yaml, .yml and .toml"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidParameter, match=words):
        read_config(tmp_path / name)


def test_probabilities_are_the_policys_unless_given():
    assert TrainingConfig(augmentation="published").crop_prob == PUBLISHED_STEPS["published"]["crop_prob"]
    assert TrainingConfig(augmentation="robust").crop_prob == 0
    assert TrainingConfig(augmentation="robust", crop_prob=0.4).crop_prob == 0.4
    assert TrainingConfig(augmentation="published", crop_prob=0).crop_prob == 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"phase1_epochs": 0, "phase2_epochs": 0}, "at least one epoch"),
        ({"aux_positive_class": "lymphocyte"}, "two are needed"),
        ({"aux_positive_class": "Blast"}, "unknown class 'Blast'"),
        ({"focal_class_weights": "balanced"}, "main_loss=focal"),
        ({"focal_class_weights": "1,2,3", "main_loss": "focal"}, "5 numbers"),
        ({"framing": "square"}, "framing"),
        ({"val_fraction": 1.0}, "less than 1"),
        ({"no_such": 1}, "no_such"),
    ],
)
def test_what_contradicts_itself_is_refused(values, words):
    with pytest.raises(ValidationError, match=words):
        TrainingConfig(**values)


def test_class_weights_of_the_focal_loss():
    assert parse_class_weights("none", [1] * 5) is None
    assert parse_class_weights("1.2,1.1,1.0,1.1,1.15", [1] * 5) == [1.2, 1.1, 1.0, 1.1, 1.15]
    assert parse_class_weights("balanced", [10, 20, 20, 25, 25]) == [2.0, 1.0, 1.0, 0.8, 0.8]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--crop-prob", "2"], "--crop-prob"),
        (["--main-loss", "mse"], "'focal', 'cce'"),
        (["--aux-positive-class", "Blast"], "--aux-positive-class"),
        (["--config", "missing.yaml"], "no file"),
        (["--framing", "tight"], "--framing"),
        (["--img-size", "many"], "not a valid integer"),
    ],
)
def test_a_bad_option_is_a_usage_error_that_names_it(arguments, words):
    result = CliRunner().invoke(train, arguments)
    assert result.exit_code == 2
    assert words in result.output
