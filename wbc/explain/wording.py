"""The form that each language of the reports fills in; numbers never stand here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "tr"]
Fit = Literal["yes", "partly", "no", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class Wording:
    """One language's sentences. Braces are filled by `wbc.explain.rules`.

    Attributes:
        language_name: name of the language, in English, for prompts.
        names: the classes' names, by the model's name.
        nucleus: the expected nucleus, by class.
        cytoplasm: the expected cytoplasm, by class.
        review: why a person must look, by review reason.
        fits: whether what was seen fits the expected morphology, by a provider's verdict.
    """

    language_name: str
    names: Mapping[str, str]
    nucleus: Mapping[str, str]
    cytoplasm: Mapping[str, str]
    percent: str
    percent_over: str
    percent_under: str
    runner_up: str
    prediction: str
    focus: str
    focus_more: str
    focus_no_more: str
    no_focus: str
    expected: str
    measured: str
    one_lobe: str
    lobes: str
    review: Mapping[str, str]
    must_look: str
    not_flagged: str
    closing: str
    fits: Mapping[Fit, str]
