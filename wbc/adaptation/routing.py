"""Label routing: probabilities under a label set that the caller declares.

The label set is knowledge from outside the image. It is never guessed, results name it, and evaluations report it in
rows of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wbc.errors import InvalidParameter
from wbc.labels import AUX_NEGATIVE, AUX_POSITIVE, CLASSES

Head = Literal["main", "aux"]


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Label set declared by the caller.

    Attributes:
        labels: the possible classes, at least two, in the order of `labels.CLASSES`.
        head: `main` renormalises the five probabilities over the declared classes; `aux` uses the auxiliary head, which
            separates only lymphocytes and neutrophils.

    Raises:
        InvalidParameter: unknown or repeated class, fewer than two classes, or a set that the auxiliary head does not
            separate.
    """

    labels: tuple[str, ...]
    head: Head = "main"

    def __post_init__(self) -> None:
        unknown = [name for name in self.labels if name not in CLASSES]
        if unknown or len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:
            raise InvalidParameter(
                f"label set {', '.join(self.labels) or '(empty)'}; at least two different ones of "
                f"{', '.join(CLASSES)} are accepted"
            )
        object.__setattr__(self, "labels", tuple(sorted(self.labels, key=CLASSES.index)))
        if self.head == "aux" and set(self.labels) != {AUX_NEGATIVE, AUX_POSITIVE}:
            raise InvalidParameter(
                f"the auxiliary head separates only {AUX_NEGATIVE} and {AUX_POSITIVE}; "
                f"the label set is {', '.join(self.labels)}"
            )

    @property
    def name(self) -> str:
        """Name of the label set in tables."""
        return f"declared {' + '.join(self.labels)} ({self.head} head)"

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """Mask of the declared classes, bool (5,)."""
        return np.array([name in self.labels for name in CLASSES])


BINARY = (AUX_NEGATIVE, AUX_POSITIVE)
"""The label set of the published two-class test domain."""


def route(probabilities: NDArray[np.float64], aux_logit: float, label_set: LabelSet) -> NDArray[np.float64]:
    """Return the probabilities under a declared label set.

    Args:
        probabilities: (5,) calibrated probabilities.
        aux_logit: positive for `AUX_POSITIVE`, negative for `AUX_NEGATIVE`.
        label_set: declared label set.

    Returns:
        float64 (5,), 0 for the other classes, sum 1.
    """
    routed = np.zeros(len(CLASSES))
    if label_set.head == "aux":
        positive = 0.5 * (1.0 + np.tanh(0.5 * aux_logit))  # the logistic function, without overflow
        routed[CLASSES.index(AUX_POSITIVE)], routed[CLASSES.index(AUX_NEGATIVE)] = positive, 1.0 - positive
        return routed
    routed[label_set.allowed] = np.maximum(probabilities[label_set.allowed], np.finfo(np.float64).tiny)
    return np.asarray(routed / routed.sum())
