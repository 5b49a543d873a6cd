"""The sentences of a report in each language, without numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from wbc.errors import InvalidParameter
from wbc.labels import MORPHOLOGY

Language = Literal["en", "tr"]
Fit = Literal["yes", "partly", "no", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class Wording:
    """Sentences in one language; `wbc.explain.rules` fills the braces.

    Turkish numbers keep the decimal point, so that they are the same in every language. The suffixes of `percent_over`
    and `percent_under` fit the only values they are used with, 99.9 ("dokuz'un") and 0.1 ("bir'in").

    Attributes:
        language_name: English name of the language, for prompts.
        names: names of the classes.
        nucleus: expected nucleus of each class.
        cytoplasm: expected cytoplasm of each class.
        review: review reasons.
        fits: verdicts of a language model on the morphology.
    """

    language_name: str
    percent: str
    percent_over: str
    percent_under: str
    runner_up: str
    prediction: str
    calibrated: str
    not_calibrated: str
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
    names: Mapping[str, str]
    nucleus: Mapping[str, str]
    cytoplasm: Mapping[str, str]


def _load() -> dict[Language, Wording]:
    sentences = json.loads(Path(__file__).with_name("sentences.json").read_text(encoding="utf-8"))
    sentences["en"] |= {
        "names": {name: name for name in MORPHOLOGY},
        "nucleus": {name: morphology.nucleus for name, morphology in MORPHOLOGY.items()},
        "cytoplasm": {name: morphology.cytoplasm for name, morphology in MORPHOLOGY.items()},
    }
    return {language: Wording(**values) for language, values in sentences.items()}


WORDINGS: Mapping[Language, Wording] = _load()


def wording(language: str) -> Wording:
    """Return the sentences of a language.

    Raises:
        InvalidParameter: the language is not supported.
    """
    try:
        return WORDINGS[cast(Language, language)]
    except KeyError:
        accepted = " or ".join(map(repr, WORDINGS))
        raise InvalidParameter(f"language {language!r} is not supported; use {accepted}") from None
