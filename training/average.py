"""The mean of several runs' weights: one network at the cost of one, for runs that went out from the same weights.

Fine-tuned from one starting point, runs that differ in their seed end close enough together that the network between
them is sound, and it carries over better than each (Wortsman et al. 2022, "Model soups"). Runs with heads of their own
do not: their mean is noise, which the scores on the validation split show.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from training.batches import MAIN
from training.config import TrainingConfig, save_config
from training.dataset import prepare_all
from training.prepare import data_of
from training.record import TrainingRecord
from training.scores import scores
from wbc.errors import InvalidParameter
from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of a saved model
from wbc.preprocessing.pipeline import Preprocessor

OF_A_RUN = ("seed", "results_dir", "model_path")
"""Settings that averaged runs may differ in."""


def average_runs(folders: Sequence[Path], output: Path) -> TrainingRecord:
    """Average the kept weights of runs and score the result on their validation split.

    Args:
        folders: results folders of finished runs.
        output: folder for `model.keras`, `training.json` and `config.yaml`, as a run leaves them.

    Returns:
        The record of the first run with the scores of the mean, and the runs under `averaged`.

    Raises:
        InvalidParameter: fewer than two runs, one that is not finished, runs that differ in more than their seed, or a
            run in the output folder.
    """
    if len(folders) < 2:
        raise InvalidParameter(f"received {len(folders)} runs; two or more are averaged")
    if (output / "training.json").is_file():
        raise InvalidParameter(f"{output} holds a run already; name another folder")
    records = [_record(folder) for folder in folders]
    for folder, record in zip(folders[1:], records[1:], strict=True):
        different = _different(records[0], record)
        if different:
            raise InvalidParameter(f"{folder} differs from {folders[0]} in {', '.join(different)}; only seeds may")
    models = [keras.saving.load_model(folder / "model.keras", compile=False) for folder in folders]
    model = models[0]
    weights = zip(*(other.get_weights() for other in models), strict=True)
    model.set_weights([np.mean(same, axis=0, dtype=np.float64).astype(np.float32) for same in weights])

    config = TrainingConfig.model_validate(records[0].config)
    val = data_of(config).val
    images = prepare_all(val, Preprocessor(records[0].preprocessing), config.img_size)
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
    record = records[0].model_copy(update={**found, "wall_time_s": seconds, "averaged": runs})
    output.mkdir(parents=True, exist_ok=True)
    model.save(output / "model.keras")
    save_config(config, output / "config.yaml")
    (output / "training.json").write_text(record.model_dump_json(indent=2) + "\n")
    return record


def _record(folder: Path) -> TrainingRecord:
    for name in ("training.json", "model.keras"):
        if not (folder / name).is_file():
            raise InvalidParameter(f"{folder} has no {name}; expected the results folder of a finished `wbc train`")
    return TrainingRecord.model_validate_json((folder / "training.json").read_bytes())


def _different(one: TrainingRecord, other: TrainingRecord) -> list[str]:
    """Settings that are not the same, the seed apart; the preprocessing as it was fitted counts as one."""
    names = [name for name in one.config if name not in OF_A_RUN and one.config[name] != other.config.get(name)]
    same = one.preprocessing.fingerprint == other.preprocessing.fingerprint
    return names if same else [*names, "preprocessing, as fitted"]
