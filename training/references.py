"""The preprocessing of a run, with the stain references that are fitted on its training split."""

from __future__ import annotations

from training.config import TrainingConfig
from wbc.data.cache import ImageCache
from wbc.data.dataset import Split
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor
from wbc.preprocessing.stain import MacenkoReference, ReinhardReference


def fit_preprocessing(config: TrainingConfig, train: Split, cache: ImageCache) -> Preprocessing:
    """The preprocessing of a run, its stain references fitted on images evenly spaced over the training split."""
    step = max(1, len(train.paths) // config.normalization_reference_samples)
    colours = {"size": config.img_size, "framing": config.framing, "white_balance": config.white_balance}
    framer = Preprocessor(Preprocessing(**colours))
    sample = [framer(cache.decoded(path)).model_input for path in train.paths[::step]]
    return Preprocessing(
        variant=config.preprocessing,
        **colours,
        color_normalization=config.color_normalization,
        reinhard=ReinhardReference.fit(sample),
        macenko=MacenkoReference.fit(sample) if config.preprocessing == "v4" else None,
    )
