"""Heads on the frozen backbone: what the network should see, asked with several seeds.

The backbone's feature maps of one augmented version of each training image, and of the other splits' images as they
are, are computed once for each filter and input reduction and kept on disk. A head is trained on them in half a
minute, so a choice can be made with several seeds where a whole training could be afforded once.
`make head-study` runs it and writes docs/results/head_study.json.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.augment import augment
from training.batches import MAIN, Targets, balancing_weights, draw
from training.cache import ImageCache, resized
from training.config import TrainingConfig
from training.dataset import Split, cores, domains, read_split
from training.fit import build_with
from training.metrics import balanced_accuracy_of_larger
from training.phases import compile_phase
from training.prepare import data_of
from training.references import fit_preprocessing
from wbc import markdown
from wbc.labels import CLASSES
from wbc.nn.classifier import ATTENTION, Backbone, densenet121
from wbc.preprocessing.pipeline import Preprocessor

log = logging.getLogger("wbc.training")

FIRST = {"preprocessing": "v1", "balance": 0.5, "label_smoothing": 0.05, "degradations": 1.0}
FOURTH = {**FIRST, "balance": 1.0, "label_smoothing": 0.1}
SEVENTH = {**FOURTH, "degradations": 0.0}

ROWS: dict[str, dict[str, Any]] = {
    "no filter": {**FIRST, "preprocessing": "none"},
    "v1": FIRST,
    "v1, classes alike": {**FIRST, "balance": 1.0},
    "v1, classes alike, smoothing 0.1": FOURTH,
    "as the fourth, focal loss": {**FOURTH, "label_smoothing": 0.0, "main_loss": "focal"},
    "as the fourth, without stain jitter and degradation": {**SEVENTH, "density_jitter_prob": 0.0},
    "as the fourth, without degradation": SEVENTH,
    "as the seventh, no filter": {**SEVENTH, "preprocessing": "none"},
    "as the seventh, filter v2": {**SEVENTH, "preprocessing": "v2"},
    "as the seventh, filter v3": {**SEVENTH, "preprocessing": "v3"},
    "as the seventh, filter v4": {**SEVENTH, "preprocessing": "v4"},
    "as the seventh, cell not framed": {**SEVENTH, "framing": "off"},
    "as the seventh, 224 pixels": {**SEVENTH, "input_reduction": 1},
}
"""What is compared: the first four are each a step from the one above, the others from the row they name. All but the
last halve the picture of 224 pixels in the graph."""

PLACES = {"data_root", "cache_dir", "results_dir", "model_path", "weights", "workers"}
"""Settings that say where things are, and change no score."""

Features = NDArray[np.float16]
"""Feature maps before the attention block, (N, h, w, C)."""


def study(
    base: TrainingConfig,
    seeds: Sequence[int],
    folder: Path,
    *,
    rows: Mapping[str, Mapping[str, Any]] = ROWS,
    known: Mapping[str, Any] | None = None,
    backbone: Backbone = densenet121,
) -> dict[str, Any]:
    """Train a head for each row and seed and score it on `Val` and on each other device.

    Args:
        base: what all rows share; `phase1_epochs` and `phase1_lr` are the head's.
        seeds: of the head.
        folder: where the features are kept.
        rows: the settings of each row, over `base`.
        known: what an earlier study returned; its rows of the same settings and seeds are taken from it.
        backbone: the feature extractor; tests take a tiny one.

    Returns:
        `rows`: by row and split the balanced accuracy of each seed; `settings`: by row a checksum of its settings;
        `left_out`: by device the row that the other devices would choose, and what it scores on the one left out.
    """
    devices = [name for name in domains(base.data_root) if not name.endswith("TestA")]
    found: dict[str, dict[str, list[float]]] = {}
    checksums: dict[str, str] = {}
    for name, changes in rows.items():
        config = TrainingConfig.model_validate({**base.model_dump(), **changes, "xai_sample_count": 0, "ema": 0.0})
        checksums[name] = _checksum((config.model_dump(mode="json", exclude=PLACES), Path(base.weights).name, [*seeds]))
        if known and known.get("settings", {}).get(name) == checksums[name]:
            found[name] = known["rows"][name]
            continue
        keras.backend.clear_session()
        network = build_with(backbone)(config)
        training, sets = _features(config, network, devices, folder)
        scores: dict[str, list[float]] = {split: [] for split in sets}
        for seed in seeds:
            head = _trained(config.model_copy(update={"seed": seed}), network, *training)
            for split, (maps, labels) in sets.items():
                answers = head.predict(maps, batch_size=128, verbose=0)[MAIN].argmax(axis=1)
                scores[split].append(balanced_accuracy_of_larger(labels, answers))
        found[name] = scores
        log.info("%s: %s", name, {split: np.round(values, 3).tolist() for split, values in scores.items()})
    return {
        "weights": Path(base.weights).name,
        "framing": base.framing.model_dump(),
        "epochs": base.phase1_epochs,
        "seeds": list(seeds),
        "settings": checksums,
        "rows": found,
        "left_out": leave_one_out({name: {d: scores[d] for d in devices} for name, scores in found.items()}),
    }


def leave_one_out(rows: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, Any]]:
    """For each device the row with the best mean over the other devices, and its mean on the device itself.

    Empty where there are fewer than two devices.
    """
    devices = next(iter(rows.values())).keys()
    if len(devices) < 2:
        return {}
    chosen = {}
    for device in devices:
        others = [other for other in devices if other != device]
        best = max(rows, key=lambda name: float(np.mean([np.mean(rows[name][other]) for other in others])))
        chosen[device] = {"chosen": best, "balanced_accuracy": float(np.mean(rows[best][device]))}
    return chosen


def table(found: Mapping[str, Any]) -> str:
    """A study as Markdown: balanced accuracy in percent, mean over the seeds and, of several, their deviation."""
    splits = list(next(iter(found["rows"].values())))
    rows = [(name, *(_spread(scores[split]) for split in splits)) for name, scores in found["rows"].items()]
    lines = [markdown.table(("row", *splits), rows), ""]
    for device, row in found["left_out"].items():
        there = f"{100 * row['balanced_accuracy']:.1f} there"
        lines.append(f"- The other devices choose *{row['chosen']}* for {device}: {there}.")
    return "\n".join(lines) + "\n"


def _checksum(value: object) -> str:
    return f"{zlib.crc32(repr(value).encode()):08x}"


def _spread(scores: Sequence[float]) -> str:
    mean = f"{100 * np.mean(scores):.1f}"
    return f"{mean} ± {100 * np.std(scores, ddof=1):.1f}" if len(scores) > 1 else mean


def _features(
    config: TrainingConfig, network: keras.Model, devices: Sequence[str], folder: Path
) -> tuple[tuple[Features, NDArray[np.int64]], dict[str, tuple[Features, NDArray[np.int64]]]]:
    """The training split augmented once, with its labels, and `Val` and the devices as they are, with theirs."""
    cache = ImageCache(config.cache_dir)
    data = data_of(config, cache)
    preprocessor = Preprocessor(fit_preprocessing(config, data.train, cache))
    backbone = keras.Model(network.input, network.get_layer(ATTENTION).input)
    key = f"{preprocessor.spec.fingerprint[:12]}-{config.input_reduction}-{config.img_size}"

    def varied(split: Split) -> Callable[[int], NDArray[np.uint8]]:
        def image(number: int) -> NDArray[np.uint8]:
            rng = np.random.default_rng((0, number))
            rgb = augment(cache.decoded(split.paths[number]), rng, config.recipe, int(split.labels[number]))
            return resized(preprocessor(rgb).model_input, config.img_size)

        return image

    def plain(split: Split) -> Callable[[int], NDArray[np.uint8]]:
        return lambda number: cache.prepared(split.paths[number], preprocessor, config.img_size)

    features = _kept(folder / f"{key}-{_checksum(config.recipe)}-train.npy", data.train, varied(data.train), backbone)
    train = (features, data.train.labels)
    sets = {}
    for split in (data.val, *(read_split(config.data_root, name, config.limit) for name in devices)):
        sets[split.name] = (_kept(folder / f"{key}-{split.name}.npy", split, plain(split), backbone), split.labels)
    return train, sets


def _kept(file: Path, split: Split, image: Callable[[int], NDArray[np.uint8]], backbone: keras.Model) -> Features:
    """Features from their file, or computed and written there in half precision."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".part")
        shape = (len(split.paths), *backbone.output.shape[1:])
        written = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
        with ThreadPoolExecutor(cores()) as pool:
            for start in range(0, len(split.paths), 64):
                numbers = range(start, min(start + 64, len(split.paths)))
                images = np.stack(list(pool.map(image, numbers)))
                written[numbers.start : numbers.stop] = backbone.predict_on_batch(images)
        written.flush()
        partial.rename(file)
    kept: Features = np.load(file, mmap_mode="r")
    return kept


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Features drawn class-balanced, another draw each epoch."""

    def __init__(self, config: TrainingConfig, maps: Features, labels: NDArray[np.int64]) -> None:
        super().__init__()
        self.maps, self.labels, self.size, self.targets = maps, labels, config.batch_size, Targets()
        weights = balancing_weights(labels, config.balance)
        draws = [
            draw(weights, labels, len(labels), np.random.default_rng([config.seed, epoch]))
            for epoch in range(config.phase1_epochs)
        ]
        self.order = np.concatenate(draws)

    def __len__(self) -> int:
        return len(self.order) // self.size

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], Any, Any]:
        chosen = self.order[index * self.size : (index + 1) * self.size]
        return self.maps[chosen].astype(np.float32), *self.targets(self.labels[chosen])


def _trained(config: TrainingConfig, network: keras.Model, maps: Features, labels: NDArray[np.int64]) -> keras.Model:
    """A head, newly initialised, after its epochs."""
    keras.utils.set_random_seed(config.seed)
    head = keras.models.clone_model(keras.Model(network.get_layer(ATTENTION).input, network.output))
    batches = _Batches(config, maps, labels)
    compile_phase(head, config, config.phase1_lr, len(batches), np.bincount(labels, minlength=len(CLASSES)).tolist())
    head.fit(batches, epochs=1, shuffle=False, verbose=0)
    return head
