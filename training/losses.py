"""WBCFocalLoss, the focal loss of the main head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="wbc")
class WBCFocalLoss(keras.losses.Loss):  # type: ignore[misc]
    """Focal loss with class weights: examples that are easy to classify have a smaller share in the loss.

    `L = sum_c w_c * (1 - p_c)^gamma * (-y_c * log p_c)`, summed over the classes, `p = softmax(logits)`; the targets
    are smoothed first, `y_c <- y_c * (1 - s) + s / C`. `y_true` and `y_pred` are `(N, C)`. The result before reduction
    is `(N,)`, at least 0, in the precision of `y_pred`.

    With `gamma = 0`, no weights and no smoothing it is the categorical cross-entropy. At `p = 0.9` for the true
    class and `gamma = 2` the loss is `0.1^2 * 0.1054 = 0.00105`, a hundredth of the cross-entropy.

    After Lin et al. 2017, arXiv 1708.02002, with one alpha per class. `keras.losses.CategoricalFocalCrossentropy` clips
    the probabilities; this loss uses the log-softmax of the logits, so that loss and gradient stay finite and non-zero
    at a probability of 0.

    Args:
        gamma: focusing exponent, at least 0.
        class_weights: one finite number of at least 0 per class, in the order of the logits; None weights all equally.
        label_smoothing: share of the target spread over all classes, 0 to below 1.
        from_logits: true if `y_pred` are logits; otherwise they are probabilities above 0.
        reduction: as in `keras.losses.Loss`.
        name: as in `keras.losses.Loss`.

    Raises:
        ValueError: an argument is out of range, or, in the call, the numbers of classes and weights differ.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        from_logits: bool = True,
        reduction: str = "sum_over_batch_size",
        name: str = "wbc_focal_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction=reduction, name=name, **kwargs)
        if gamma < 0:
            raise ValueError(f"gamma={gamma}; at least 0 is accepted")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing={label_smoothing}; 0 to below 1 is accepted")
        if class_weights is not None and not all(0 <= weight < float("inf") for weight in class_weights):
            raise ValueError(f"class_weights={list(class_weights)}; finite numbers of at least 0 are accepted")
        self.gamma = float(gamma)
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]
        self.label_smoothing = float(label_smoothing)
        self.from_logits = bool(from_logits)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true = ops.cast(y_true, y_pred.dtype)
        classes = y_pred.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(
                f"{classes} classes and {len(self.class_weights)} class_weights; one per class is accepted"
            )
        target = y_true * (1.0 - self.label_smoothing) + self.label_smoothing / classes
        log_p = ops.log_softmax(y_pred, axis=-1) if self.from_logits else ops.log(y_pred)
        terms = -target * log_p
        if self.gamma:
            # expm1 keeps the precision of 1 - p near p = 1. For gamma < 1 the gradient of the power is infinite at 0,
            # so 1 - p is at least epsilon.
            terms = terms * ops.power(ops.maximum(-ops.expm1(log_p), keras.config.epsilon()), self.gamma)
        if self.class_weights is not None:
            terms = terms * ops.convert_to_tensor(self.class_weights, dtype=y_pred.dtype)
        return ops.sum(terms, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
            "from_logits": self.from_logits,
        }
