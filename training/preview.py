"""Contact sheet of the augmentation: one cell per class, random versions of it, and the network's input of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training import figures
from training.augment import draw_version
from training.config import TrainingConfig
from training.prepare import fit_preprocessing
from wbc.data.cache import ImageCache, resized
from wbc.data.dataset import read_split
from wbc.labels import CLASSES
from wbc.preprocessing.pipeline import Preprocessor

SIDE = 160
"""Side of an image on the sheet in pixels."""


def contact_sheet(config: TrainingConfig, split_name: str, versions: int, path: Path) -> None:
    """Draw a random cell of each class, random versions of it, and below each version the network's input.

    The versions are those of the last epoch, in which the camera faults have their full probability.

    Args:
        config: configuration of the run.
        split_name: split from which the cells are taken.
        versions: number of random versions of each cell.
        path: image file to write.
    """
    cache = ImageCache(config.cache_dir)
    split = read_split(config.data_root, split_name, config.limit)
    preprocessor = Preprocessor(fit_preprocessing(config, read_split(config.data_root, config.source[0]), cache))
    recipe = config.recipe
    rows = []
    for label in np.unique(split.labels).tolist():
        members = np.flatnonzero(split.labels == label)
        file = split.paths[np.random.default_rng([config.seed, label]).choice(members)]
        original = preprocessor.at_input_size(cache.decoded(file))
        pairs = [(original.display, original.model_input)]
        for version in range(versions if recipe.policy != "none" else 0):
            rng = np.random.default_rng([config.seed, 0, label, version])
            pairs.append(
                draw_version(
                    file, label, rng, recipe=recipe, preprocessor=preprocessor, cache=cache, size=config.img_size
                )
            )
        rows.append((CLASSES[label], [resized(framed, SIDE) for framed, _ in pairs]))
        rows.append(("network", [resized(model_input, SIDE) for _, model_input in pairs]))
    path.parent.mkdir(parents=True, exist_ok=True)
    figures.contact_sheet(rows, path, ["original", *(f"version {n}" for n in range(1, len(rows[0][1])))])
