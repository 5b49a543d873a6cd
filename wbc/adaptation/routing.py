"""Label routing: what an answer becomes once the caller has declared which classes can occur.

A declaration is knowledge from outside the image. It is never guessed, an answer that used it says so, and a score that
used it stands in a row of its own.
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
    """A label set that the caller declared.

    Attributes:
        labels: the classes that can occur, at least two, in the order of `labels.CLASSES`.
        head: `main` renormalises the five probabilities over the declared classes; `aux` asks the auxiliary binary
            head, which knows lymphocytes and neutrophils alone.

    Raises:
        InvalidParameter: an unknown class, a class named twice, fewer than two, or a set that the auxiliary head does
            not know.
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
                f"the auxiliary head tells {AUX_NEGATIVE} from {AUX_POSITIVE}; "
                f"the label set is {', '.join(self.labels)}"
            )

    @property
    def name(self) -> str:
        """How a table names it."""
        return f"declared {' + '.join(self.labels)} ({self.head} head)"

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """Which classes can occur, bool (5,)."""
        return np.array([name in self.labels for name in CLASSES])


BINARY = (AUX_NEGATIVE, AUX_POSITIVE)
"""The label set of the published two-class test domain."""


def route(probabilities: NDArray[np.float64], aux_logit: float, label_set: LabelSet) -> NDArray[np.float64]:
    """Probabilities under a declared label set.

    Args:
        probabilities: (5,) calibrated.
        aux_logit: positive for `AUX_POSITIVE` against `AUX_NEGATIVE`.
        label_set: what was declared.

    Returns:
        float64 (5,), 0 for each class that was not declared, sum 1.
    """
    routed = np.zeros(len(CLASSES))
    if label_set.head == "aux":
        positive = 0.5 * (1.0 + np.tanh(0.5 * aux_logit))  # the logistic function, without overflow
        routed[CLASSES.index(AUX_POSITIVE)], routed[CLASSES.index(AUX_NEGATIVE)] = positive, 1.0 - positive
        return routed
    routed[label_set.allowed] = np.maximum(probabilities[label_set.allowed], np.finfo(np.float64).tiny)
    return np.asarray(routed / routed.sum())
