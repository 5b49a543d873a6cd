"""What a run would do, without doing it."""

from __future__ import annotations

import time

from training.config import TrainingConfig
from wbc.labels import CLASSES
from wbc.nn.backbones import Backbone


def plan(config: TrainingConfig, backbone: Backbone | None = None) -> str:
    """Read the data, build the network, prepare one batch and pass it through; nothing but the cache is written.

    Returns:
        Lines for a person.
    """
    import numpy as np

    from training.batches import MAIN
    from training.fit import build_with
    from training.phases import set_trainable
    from training.prepare import prepare

    setup = prepare(config, build_with(backbone))
    data, model = setup.data, setup.model
    lines = []
    for split in (data.train, data.val):
        counts = ", ".join(f"{name} {count}" for name, count in zip(CLASSES, split.counts.tolist(), strict=True))
        lines.append(f"{split.name}: {len(split.paths)} images ({counts})")
    lines.append(f"{len(data.unreadable)} unreadable files left out")
    lines.append(f"{model.count_params():,} parameters")
    for phase, epochs in ((1, config.phase1_epochs), (2, config.phase2_epochs)):
        set_trainable(model, phase, config)
        trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        lines.append(
            f"phase {phase}: {epochs} epochs of {len(setup.batches(phase))} steps, {trained:,} trained parameters"
        )
    started = time.monotonic()
    images, _, _ = setup.batches(1)[0]
    prepared = time.monotonic() - started
    answers = model.predict(images, verbose=0)[MAIN]
    finite = "finite" if np.isfinite(answers).all() else "not finite"
    lines.append(f"one batch: {len(images)} images in {prepared:.2f} s, logits {answers.shape}, {finite}")
    return "\n".join(lines)
