from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from wbc.explain.facts import Facts
from wbc.preprocessing.morphometry import Shape

SHAPE = Shape(nucleus_share=0.48, solidity=0.86, lobes=3, cell_diameter=0.58, nucleus_diameter=0.4)


@pytest.fixture(scope="session", autouse=True)
def _bare_environment() -> Iterator[None]:
    """No setting and no proxy of the machine that runs the tests reaches them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("WBC_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture
def facts() -> Facts:
    return Facts(
        label="Neutrophil",
        confidence=0.973,
        runner_up="Monocyte",
        runner_up_probability=0.014,
        focus_ratio=0.71,
        focus_coverage=0.34,
        focus_lift=0.5606,
        shape=SHAPE,
    )
