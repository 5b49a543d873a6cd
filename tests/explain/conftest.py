from __future__ import annotations

import pytest

from wbc.explain.facts import Facts, Shape

SHAPE = Shape(nucleus_share=0.48, solidity=0.86, lobes=3, cell_diameter=0.58, nucleus_diameter=0.4)


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
