"""The five leukocyte classes, their order and their morphology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Morphology:
    """Typical appearance of a class in a Romanowsky-stained film.

    Source: the descriptions common to haematology atlases (CLSI H20-A2 names the classes);
    sizes are diameters in micrometres on a dried film, shares are of all leukocytes in adults.
    """

    nucleus: str
    cytoplasm: str
    diameter_um: tuple[int, int]
    adult_share_percent: tuple[float, float]


MORPHOLOGY: Mapping[str, Morphology] = MappingProxyType(
    {
        "Basophil": Morphology(
            nucleus="bilobed or irregular, often hidden by granules",
            cytoplasm="coarse, dark blue-violet granules that overlie the nucleus",
            diameter_um=(10, 14),
            adult_share_percent=(0.0, 1.0),
        ),
        "Eosinophil": Morphology(
            nucleus="usually two lobes joined by a thin strand",
            cytoplasm="packed with coarse, uniform orange-red granules",
            diameter_um=(12, 17),
            adult_share_percent=(1.0, 4.0),
        ),
        "Lymphocyte": Morphology(
            nucleus="round or slightly indented, with dense clumped chromatin",
            cytoplasm="a scant, pale to sky-blue rim",
            diameter_um=(7, 15),
            adult_share_percent=(20.0, 40.0),
        ),
        "Monocyte": Morphology(
            nucleus="large, folded, kidney- or horseshoe-shaped, with lacy chromatin",
            cytoplasm="abundant, grey-blue, finely granular, sometimes vacuolated",
            diameter_um=(12, 20),
            adult_share_percent=(2.0, 8.0),
        ),
        "Neutrophil": Morphology(
            nucleus="two to five lobes joined by thin strands, or a band",
            cytoplasm="pale pink with fine lilac granules",
            diameter_um=(10, 15),
            adult_share_percent=(40.0, 70.0),
        ),
    }
)

CLASSES: tuple[str, ...] = tuple(MORPHOLOGY)
"""Class names in the order of every logit, probability and confusion matrix."""

AUX_POSITIVE = "Neutrophil"
AUX_NEGATIVE = "Lymphocyte"
"""The two classes that the auxiliary binary head separates; its logit is positive for the first."""


def index_of(name: str) -> int:
    """Return the position of a class in `CLASSES`, ignoring letter case.

    Raises:
        ValueError: there is no such class.
    """
    for index, label in enumerate(CLASSES):
        if label.lower() == name.lower():
            return index
    raise ValueError(f"unknown class {name!r}; the classes are {', '.join(CLASSES)}")
