"""What an evaluation is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wbc.adaptation.tta import Mode


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """An evaluation.

    Attributes:
        model_path: a bundle's folder, or a `.keras` file.
        data_root: folder of the splits.
        output_dir: where the files of the evaluation are written.
        splits: folders that are evaluated; empty is every `Test*` folder.
        binary_mode: `main` or `aux` adds a row to each `TestB*` domain, as if its operator had declared that
            lymphocytes and neutrophils alone occur, decided by that head.
        tta, color_normalization, preprocessing, framing: in the place of the bundle's; None is the bundle's.
        batch_size: views in one forward pass.
        limit: images a class; 0 is all.
        seed: of the bootstrap and of generated images.
        workers: threads that decode and prepare; 0 is one a core.
        ablation: measure each step of the adaptation and each filter as well.
        ablation_limit: images a class for that; 0 is `limit`.
        rejection: measure images of none of the five classes as well.
    """

    model_path: Path
    data_root: Path
    output_dir: Path
    splits: tuple[str, ...] = ()
    binary_mode: Literal["none", "main", "aux"] = "none"
    tta: Mode | None = None
    color_normalization: Literal["none", "reinhard"] | None = None
    preprocessing: str | None = None
    framing: Literal["cell", "off"] | None = None
    batch_size: int = 32
    limit: int = 0
    seed: int = 0
    workers: int = 0
    ablation: bool = False
    ablation_limit: int = 0
    rejection: bool = True

    @property
    def asking(self) -> dict[str, int]:
        """How files are answered, as `asking.answer` takes it."""
        return {"batch_size": self.batch_size, "workers": self.workers}

    @property
    def adaptation(self) -> dict[str, Any]:
        """What differs from the bundle's settings, as `Model.configured` takes it."""
        framing = None if self.framing is None else {"mode": self.framing}
        return {
            "tta": self.tta,
            "variant": self.preprocessing,
            "color_normalization": self.color_normalization,
            "framing": framing,
        }
