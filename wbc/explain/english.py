"""The reports in English."""

from __future__ import annotations

from wbc.explain.wording import Wording
from wbc.labels import CLASSES, MORPHOLOGY

ENGLISH = Wording(
    language_name="English",
    names={name: name for name in CLASSES},
    nucleus={name: MORPHOLOGY[name].nucleus for name in CLASSES},
    cytoplasm={name: MORPHOLOGY[name].cytoplasm for name in CLASSES},
    percent="{}%",
    percent_over="over {}%",
    percent_under="under {}%",
    runner_up="runner-up {}",
    prediction="The model classifies this cell as {label} (calibrated confidence {confidence}); the runner-up is "
    "{runner_up} ({runner_up_probability}).",
    focus="Of the activation map, {focus_ratio} lies on the cell, which fills {focus_coverage} of the frame: "
    "{verdict} (lift {focus_lift}).",
    focus_more="more than an even spread would give",
    focus_no_more="no more than an even spread would give",
    no_focus="No cell outline could be measured, so nothing is said of where the activation map lies.",
    expected="Expected nucleus: {nucleus}. Expected cytoplasm: {cytoplasm}.",
    measured="Measured: nucleus {nucleus_share} of the cell's area, solidity {solidity}, {lobes}.",
    one_lobe="{} lobe in the outline",
    lobes="{} lobes in the outline",
    review={
        "low_confidence": "confidence is low",
        "unlike_training": "the image is unlike the training images",
        "poor_image": "the image quality is poor",
        "attention_off_cell": "the model's attention lies off the cell",
    },
    must_look="A qualified reader must look at this cell: {reasons}.",
    not_flagged="No review flag was raised.",
    closing="For research use only; the decision belongs to a qualified reader.",
    fits={
        "yes": "According to the language model, this fits the expected morphology.",
        "partly": "According to the language model, this fits the expected morphology only in part.",
        "no": "According to the language model, this does not fit the expected morphology.",
        "cannot_tell": "The language model could not tell whether this fits the expected morphology.",
    },
)
