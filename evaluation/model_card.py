"""Model card of a bundle, generated from its manifest and its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluation.results import EVALUATION, EvaluationResult, read_evaluation, write_json
from evaluation.tables import list_left_out, make_tables
from wbc.bundle import Bundle, Manifest
from wbc.errors import BundleMismatch, InvalidParameter
from wbc.labels import CLASSES
from wbc.tables import render

CARD = "MODEL_CARD.md"
TEMPLATE = Path(__file__).parent / "templates" / CARD

SOURCES = {
    "Val": "same device and data as training (PBC); used to choose settings",
    "Val-chula": "a training device, other slides (Chula, MIT); used to choose settings",
    "TestA": "CellaVision DM96, May-Grünwald-Giemsa: the device of the training images (PBC, CC BY 4.0)",
    "TestB-lisc": "Zeiss Axioskop 40 with a Sony SSC-DC50AP, Gismo-Right (LISC, research use)",
    "TestB-bccd": "light microscope with a CCD, Gismo-Right (BCCD, MIT; labels visibly noisy)",
    "TestB-tecom": "Motic Moticam Pro 252A, rapid stain (Jiangxi Tecom, Zheng et al. 2018; labels unchecked)",
    "combined": "all test sets together, mostly of the training device",
}
"""Origin of the images of this project's splits."""


def check_as_served(settings: Mapping[str, Any]) -> None:
    """Check that an evaluation with these settings may be written into the bundle.

    Raises:
        InvalidParameter: it is of another graph, of other settings or of a part of the images.
    """
    if (graph := settings.get("graph", "fp32")) != "fp32":
        raise InvalidParameter(
            f"the evaluation is of the {graph} graph; --write-bundle accepts only the fp32 graph of a bundle's folder: "
            "unset WBC_GRAPH"
        )
    if settings["limit"] or not settings["as_served"]:
        raise InvalidParameter(
            "the evaluation is of a part of the images or of other settings than the bundle's; --write-bundle accepts "
            "neither --limit, --tta, --color-normalization, --preprocessing, --framing nor WBC_TTA"
        )


def write_into_bundle(path: Path, result: EvaluationResult) -> None:
    """Write `evaluation.json` and `MODEL_CARD.md` into a bundle.

    Raises:
        InvalidParameter: see `check_as_served`.
        BundleMismatch: the evaluation is of another model.
    """
    bundle = Bundle.load(path)
    check_as_served(result.settings)
    if result.model["sha256"] != bundle.sha256:
        theirs, ours = result.model["sha256"][:12], bundle.sha256[:12]
        raise BundleMismatch(f"the evaluation is of the manifest {theirs}; the bundle's is {ours}")
    write_json(result, path / EVALUATION)
    # Read back, so that the card has the rounded numbers of the file.
    (path / CARD).write_text(render_card(bundle.manifest, read_evaluation(path / EVALUATION)))


def render_card(manifest: Manifest, result: EvaluationResult) -> str:
    """Return the model card in Markdown."""
    training = manifest.training
    left_out = list_left_out(training.left_out) if training and training.left_out else None
    tables = make_tables(result)
    origins = {domain.name: SOURCES[domain.name] for domain in result.domains if domain.name in SOURCES}
    return render(
        TEMPLATE,
        manifest=manifest,
        training=training,
        result=result,
        tables={name: table.markdown() for name, table in tables.items()},
        left_out=left_out and left_out.markdown(),
        origins=origins,
        classes=", ".join(CLASSES),
    )
