"""The mean of several runs' weights: one network at the cost of one, for runs that went out from the same weights.

Fine-tuned from one starting point, runs that differ in their seed end close enough together that the network between
them is sound, and close to what all of them give asked together (Wortsman et al. 2022, "Model soups"). The way back to
the start gives up some of what was learnt of the training device for what held on others (Wortsman et al. 2022, "Robust
fine-tuning"). Runs with heads of their own have no mean: it is noise, which the scores on the validation split show.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from training.batches import MAIN
from training.config import TrainingConfig, save_config
from training.phases import set_trainable
from training.prepare import Setup, data_of
from training.scores import scores
from wbc.data.cache import ImageCache
from wbc.data.dataset import prepare_all
from wbc.errors import InvalidParameter
from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of a saved model
from wbc.preprocessing.pipeline import Preprocessor
from wbc.run_record import TrainingRecord

STATISTICS_BATCHES = 100
"""Training batches on which the statistics of batch norm are estimated."""

OF_A_RUN = ("seed", "results_dir", "model_path")
"""Settings that averaged runs may differ in."""


def average_runs(folders: Sequence[Path], output: Path, *, start_share: float = 0.0) -> TrainingRecord:
    """Average the kept weights of runs and score the result on their validation split.

    Args:
        folders: results folders of finished runs that began with the same `.keras` file.
        output: folder for `model.keras`, `training.json` and `config.yaml`, as a run leaves them.
        start_share: share of the weights that the runs began with, 0 to 1; the runs have the rest in equal parts.

    Returns:
        The record of the first run with the scores of the mean, and the runs under `averaged`.

    Raises:
        InvalidParameter: fewer than two runs, one that is not finished, runs that differ in more than their seed or did
            not begin with a `.keras` file, or a run in the output folder.
    """
    if (output / "training.json").is_file():
        raise InvalidParameter(f"{output} holds a run already; name another folder")
    records = read_runs(folders)
    model = mean_model([folder / "model.keras" for folder in folders])
    if start_share:
        move_to(model, Path(records[0].config["weights"]), start_share)
    config = TrainingConfig.model_validate(records[0].config)
    cache = ImageCache(config.cache_dir)
    setup = Setup(config, data_of(config, cache), cache, Preprocessor(records[0].preprocessing), model)
    estimate_statistics(setup)
    val = setup.data.val
    images = prepare_all(val, setup.preprocessor, config.img_size, cache=cache)
    found = scores(model.predict(images, batch_size=config.batch_size, verbose=0)[MAIN], val.labels)
    runs = [
        {
            "seed": record.config["seed"],
            "best_epoch": record.best_epoch,
            **{name: getattr(record, name) for name in found},
        }
        for record in records
    ]
    seconds = round(sum(record.wall_time_s for record in records), 1)
    record = records[0].model_copy(
        update={**found, "wall_time_s": seconds, "averaged": runs, "start_share": start_share}
    )
    output.mkdir(parents=True, exist_ok=True)
    model.save(output / "model.keras")
    save_config(config, output / "config.yaml")
    (output / "training.json").write_text(record.model_dump_json(indent=2) + "\n")
    return record


def read_runs(folders: Sequence[Path]) -> list[TrainingRecord]:
    """The records of runs that have a mean.

    Raises:
        InvalidParameter: they have none (see `average_runs`).
    """
    if len(folders) < 2:
        raise InvalidParameter(f"received {len(folders)} runs; two or more are averaged")
    records = []
    for folder in folders:
        for name in ("training.json", "model.keras"):
            if not (folder / name).is_file():
                raise InvalidParameter(f"{folder} has no {name}; expected the results folder of a finished `wbc train`")
        records.append(TrainingRecord.model_validate_json((folder / "training.json").read_bytes()))
    for folder, record in zip(folders[1:], records[1:], strict=True):
        if different := _different(records[0], record):
            raise InvalidParameter(f"{folder} differs from {folders[0]} in {', '.join(different)}; only seeds may")
    weights = str(records[0].config["weights"])
    if not weights.endswith(".keras"):
        raise InvalidParameter(f"{folders[0]} began with {weights!r}; runs have a mean that began with one .keras file")
    return records


def mean_model(paths: Sequence[Path]) -> keras.Model:
    """A network with the mean of the weights of saved ones."""
    models = [keras.saving.load_model(path, compile=False) for path in paths]
    same = zip(*(model.get_weights() for model in models), strict=True)
    models[0].set_weights([np.mean(weights, axis=0, dtype=np.float64).astype(np.float32) for weights in same])
    return models[0]


def move_to(model: keras.Model, path: Path, share: float) -> None:
    """Move a network's weights by a share of the way, 0 to 1, to those of a saved one.

    Raises:
        InvalidParameter: a share out of range, or no such file.
    """
    if not 0 <= share <= 1:
        raise InvalidParameter(f"received a share of {share:g}; 0 to 1 is accepted")
    if not path.is_file():
        raise InvalidParameter(f"no file {path}, with which the runs began")
    there = keras.saving.load_model(path, compile=False).get_weights()
    pairs = zip(model.get_weights(), there, strict=True)
    model.set_weights([np.asarray((1 - share) * here + share * other, np.float32) for here, other in pairs])


def estimate_statistics(setup: Setup) -> None:
    """Set the statistics of the trained batch norms to their mean over augmented training batches.

    The runs' own statistics belong to the runs' weights, and their mean does not belong to the mean of the weights.
    """
    set_trainable(setup.model, 2, setup.config)
    norms = [
        layer for layer in setup.model.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    momenta = [norm.momentum for norm in norms]
    batches = setup.batches(2)
    for number in range(min(STATISTICS_BATCHES, len(batches))):
        for norm in norms:
            norm.momentum = number / (number + 1)
        setup.model(batches[number][0], training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _different(one: TrainingRecord, other: TrainingRecord) -> list[str]:
    """Settings that are not the same, the seed apart; the preprocessing as it was fitted counts as one."""
    names = [name for name in one.config if name not in OF_A_RUN and one.config[name] != other.config.get(name)]
    same = one.preprocessing.fingerprint == other.preprocessing.fingerprint
    return names if same else [*names, "preprocessing, as fitted"]
