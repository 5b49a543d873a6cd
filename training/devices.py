"""Which devices a run uses: all of them under JAX, by Keras' data-parallel distribution."""

from __future__ import annotations

import logging

import keras

from wbc.errors import InvalidParameter

log = logging.getLogger("wbc.training")


def use_all_devices(batch_size: int) -> int:
    """Spread each batch over the devices of the JAX backend; to be called before the model is built.

    Returns:
        The number of devices used. Under TensorFlow it is 1: Keras distributes under JAX alone.

    Raises:
        InvalidParameter: the batch cannot be parted evenly.
    """
    if keras.backend.backend() != "jax":
        return 1
    devices = keras.distribution.list_devices()
    if len(devices) < 2:
        return 1
    if batch_size % len(devices):
        raise InvalidParameter(
            f"batch_size={batch_size} over {len(devices)} devices; a multiple of their number is needed"
        )
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False))
    log.info("data-parallel over %d devices: %s", len(devices), ", ".join(devices))
    return len(devices)
