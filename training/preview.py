"""A contact sheet of an augmentation: a cell of each class, what is made of it, and what the network sees of that."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training import figures
from training.augment import draw_version
from training.config import TrainingConfig
from training.references import fit_preprocessing
from wbc.data.cache import ImageCache, resized
from wbc.data.dataset import Split, read_split
from wbc.labels import CLASSES
from wbc.preprocessing.pipeline import Preprocessor

SIDE = 160
"""Side of a picture on the sheet, pixels."""


def contact_sheet(config: TrainingConfig, split_name: str, versions: int, path: Path) -> None:
    """Draw, for a cell of each class: the picture, random versions of it, and under each what the network sees.

    The versions are of the last epoch, when the degradations have their full probability.

    Args:
        config: the run that is looked at.
        split_name: where the cells are taken from.
        versions: random versions of each cell.
        path: where the sheet is written.
    """
    cache = ImageCache(config.cache_dir)
    split = read_split(config.data_root, split_name, config.limit)
    preprocessor = Preprocessor(fit_preprocessing(config, read_split(config.data_root, config.source[0]), cache))
    rows = []
    for label in np.unique(split.labels):
        file = split.paths[_one_of(split, int(label), config.seed)]
        original = preprocessor.at_input_size(cache.decoded(file))
        shown = [(original.display, original.model_input)]
        for version in range(versions if config.augmentation != "none" else 0):
            rng = np.random.default_rng([config.seed, 0, int(label), version])
            drawn = draw_version(
                file,
                int(label),
                rng,
                recipe=config.recipe,
                preprocessor=preprocessor,
                cache=cache,
                size=config.img_size,
            )
            shown.append(drawn)
        rows.append((CLASSES[label], [resized(framed, SIDE) for framed, _ in shown]))
        rows.append(("network", [resized(seen, SIDE) for _, seen in shown]))
    path.parent.mkdir(parents=True, exist_ok=True)
    figures.contact_sheet(rows, path, ["original", *(f"version {n}" for n in range(1, len(rows[0][1])))])


def _one_of(split: Split, label: int, seed: int) -> int:
    """Position of one image of a class, the same for the same seed."""
    return int(np.random.default_rng([seed, label]).choice(np.flatnonzero(split.labels == label)))
