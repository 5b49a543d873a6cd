"""docs/explainer.md shows the reports of the code and every failure reason."""

from __future__ import annotations

import asyncio
import re
from operator import attrgetter
from pathlib import Path

import pytest

from wbc.explain import explainer, guard, providers
from wbc.explain.breaker import BreakerSettings
from wbc.explain.exchange import Answer
from wbc.explain.explainer import Explainer
from wbc.explain.facts import Facts
from wbc.explain.rules import compose, rule_report
from wbc.explain.wording import WORDINGS
from wbc.preprocessing.morphometry import Shape
from wbc.settings import Settings

DOCUMENT = (Path(__file__).parents[2] / "docs" / "explainer.md").read_text(encoding="utf-8")
TEXT = " ".join(DOCUMENT.replace("> ", "").split())

UNFLAGGED = Facts(
    label="Neutrophil",
    confidence=0.973,
    runner_up="Monocyte",
    runner_up_probability=0.014,
    focus_ratio=0.71,
    focus_coverage=0.34,
    focus_lift=0.5606,
    shape=Shape(nucleus_share=0.48, solidity=0.86, lobes=3, cell_diameter=0.58, nucleus_diameter=0.4),
)
FLAGGED = Facts(
    label="Lymphocyte",
    confidence=0.541,
    runner_up="Monocyte",
    runner_up_probability=0.402,
    review_reasons=("low_confidence", "poor_image"),
)


@pytest.mark.parametrize("language", WORDINGS)
@pytest.mark.parametrize("facts", [UNFLAGGED, FLAGGED])
def test_the_example_reports_are_what_the_code_writes(facts: Facts, language: str) -> None:
    assert rule_report(facts, language) in TEXT


def test_the_example_of_a_providers_report_is_what_the_code_writes() -> None:
    answer = Answer(
        summary="The model classifies this cell as Neutrophil (97.3%); the runner-up is Monocyte (1.4%).",
        map_highlights="The map lies mostly on the cell, with a share of 71%, over the lobes of the nucleus.",
        fits_morphology="yes",
        concern="",
    )
    assert guard.objection(answer, UNFLAGGED, "en") is None
    assert compose(answer, UNFLAGGED, "en") in TEXT


def test_the_defaults_of_the_settings_are_those_of_the_code() -> None:
    configured, bare = Explainer.from_settings(Settings()), Explainer()
    for name in ("_timeout_s", "_send_image", "_cache.maxsize", "_concurrency._value"):
        assert attrgetter(name)(configured) == attrgetter(name)(bare)
    assert BreakerSettings(Settings().explain_breaker_failures, Settings().explain_breaker_cooldown_s) == (
        BreakerSettings()
    )
    assert Settings().openai_preset in providers.PRESETS
    asyncio.run(bare.aclose())


def test_every_reason_stands_in_the_table() -> None:
    told = re.findall(r"^ {4}(\w+) {2,}\w", providers.__doc__ or "", re.MULTILINE)
    objections = re.findall(r"^ {4}(\w+): ", (guard.objection.__doc__ or ""), re.MULTILINE)
    assert len(told) == 9
    assert len(objections) == 8
    for reason in [*told, "circuit_open", "busy", "unexpected", *(f"guard:{why}" for why in objections)]:
        assert f"| `{reason}` |" in TEXT


def test_the_share_of_a_first_provider_is_told() -> None:
    assert f"{explainer.FIRST_SHARE:.0%} of the remaining time" in TEXT
