"""Configuration of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wbc.adaptation.tta import Mode


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """Configuration of an evaluation.

    Attributes:
        model_path: folder of a bundle, or a `.keras` file.
        data_root: folder of the splits.
        output_dir: folder for the results.
        splits: splits to evaluate; empty takes every `Test*` folder.
        binary_mode: `main` or `aux` also evaluates each `TestB*` split under a declared label set of lymphocytes and
            neutrophils, decided by that head.
        tta, color_normalization, preprocessing, framing: settings of the pipeline; None takes the bundle's.
        batch_size: maximum number of views in a forward pass.
        limit: maximum number of images per class; 0 takes all.
        seed: seed of the bootstrap and of generated images.
        workers: threads that decode and prepare; 0 takes the CPU quota.
        ablation: also measure each step of the adaptation and each filter.
        ablation_limit: maximum number of images per class for that; 0 takes `limit`.
        rejection: also measure images that show none of the classes.
        write_bundle: write `evaluation.json` and `MODEL_CARD.md` into the bundle.
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
    write_bundle: bool = False

    @property
    def batching(self) -> dict[str, Any]:
        """Keyword arguments of `predictions.predict`."""
        return {"batch_size": self.batch_size, "workers": self.workers}

    @property
    def adaptation(self) -> dict[str, Any]:
        """Keyword arguments of `model.configure`."""
        framing = None if self.framing is None else {"mode": self.framing}
        return {
            "tta": self.tta,
            "variant": self.preprocessing,
            "color_normalization": self.color_normalization,
            "framing": framing,
        }
