"""Configuration of a training run; the resolved values are saved with the results."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from training.augment import PUBLISHED_STEPS, Policy, Recipe
from wbc.errors import InvalidParameter
from wbc.labels import AUX_NEGATIVE, AUX_POSITIVE, CLASSES, index_of
from wbc.nn.names import BackboneName
from wbc.preprocessing.enhance import Variant
from wbc.preprocessing.framing import Framing
from wbc.settings import settings


def _step(name: str, description: str) -> Any:
    """Return the field of a published step's probability; its default depends on the policy."""
    shown = ", ".join(f"{policy} {steps[name]:g}" for policy, steps in PUBLISHED_STEPS.items())
    return Field(0.0, ge=0, le=1, description=description, json_schema_extra={"shown_default": f"{shown}, robust 0"})


class TrainingConfig(BaseModel):
    """Configuration of a training run. Every field is an option of `wbc train`, with its description as help.

    Raises:
        pydantic.ValidationError: a value has the wrong type or is out of range, or two values contradict each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_root: Path = Field(default_factory=lambda: settings().data_root, description="folder of the splits")
    source: tuple[str, ...] = Field(("Train",), min_length=1, description="training folder of one device; repeatable")
    source_balance: float = Field(0.7, ge=0, le=1, description="source balance: 0 as found, 1 equally often")
    val_fraction: float = Field(0.15, gt=0, lt=1, description="held-out share of each class if there is no Val folder")
    limit: int = Field(0, ge=0, description="largest number of images per class in each split; 0 takes all")
    cache_dir: Path | None = Field(Path("runs/cache"), description="folder of cached images; none for no cache")
    results_dir: Path = Field(Path("runs/latest"), description="folder for the model, the checkpoint and the report")
    model_path: Path | None = Field(None, description="file for a copy of results_dir/model.keras")
    weights: str = Field("imagenet", description="initial weights: none, imagenet, a .weights.h5 or a .keras file")
    seed: int = Field(1, ge=0, description="random seed of weights, order and augmentation")

    backbone: BackboneName = Field("efficientnet-lite0", description="feature extractor")
    white_balance: bool = Field(True, description="divide each image by its own background first")
    preprocessing: Variant = Field("none", description="enhancement filter before the network")
    framing: Framing = Field(Framing(), description="framing of the cell: window, cell, off, or diameters=1.5,...")
    color_normalization: Literal["none", "reinhard"] = Field("none", description="stain normalisation")
    normalization_reference_samples: int = Field(
        500, ge=1, description="training images used to fit the stain references"
    )

    augmentation: Policy = Field("robust", description="augmentation policy, before preprocessing")
    augmentation_ramp: float = Field(0.0, ge=0, le=1, description="share of phase 2 over which degradations ramp up")
    crop_prob: float = _step("crop_prob", "probability of a crop to the cell")
    bg_randomization_prob: float = _step("bg_randomization_prob", "probability of a random background around the cell")
    bg_randomization_strength: float = Field(0.35, ge=0, le=1, description="share of the new background in the blend")
    stain_jitter_prob: float = _step("stain_jitter_prob", "probability of a stain shift in LAB")
    neutrophil_aug_scale: float = Field(0.3, ge=0, description="factor on neutrophils' crop and background probability")
    lymphocyte_aug_scale: float = Field(0.6, ge=0, description="factor on lymphocytes' crop and background probability")
    density_jitter_prob: float = Field(0.8, ge=0, le=1, description="robust: probability of a stain jitter in density")
    stain_strength: float = Field(1.0, ge=0, le=3, description="robust, framing window: factor on that jitter's spread")
    degradations: float = Field(
        1.0, ge=0, le=1, description="robust: factor on the probabilities of blur, low resolution, noise and JPEG"
    )
    balance: float = Field(1.0, ge=0, le=1, description="class balance: 0 as found, 1 equally often")

    img_size: int = Field(128, ge=32, le=448, description="side of the network's input in pixels")
    input_reduction: Literal[1, 2] = Field(1, description="2 halves the image inside the graph and keeps the map size")
    batch_size: int = Field(32, ge=1, description="images per step")
    epoch_size: int = Field(0, ge=0, description="images per epoch; 0 takes the size of the training split")
    phase1_epochs: int = Field(1, ge=0, description="epochs with a frozen backbone")
    phase2_epochs: int = Field(3, ge=0, description="epochs with an unfrozen backbone")
    phase1_lr: float = Field(1e-3, gt=0, description="peak learning rate of phase 1")
    phase2_lr: float = Field(5e-4, gt=0, description="peak learning rate of phase 2")
    lr_patience: int = Field(
        0, ge=0, description="epochs without improvement before the learning rate is reduced; 0: cosine decay"
    )
    lr_factor: float = Field(0.5, gt=0, lt=1, description="factor of each reduction of the learning rate")
    early_stop_patience: int = Field(0, ge=0, description="epochs without improvement before a phase ends; 0: never")
    weight_decay: float = Field(0.02, ge=0, description="decoupled weight decay")
    unfreeze_from: str | None = Field(None, description="first backbone layer that phase 2 trains; by default all")
    batch_norm: Literal["auto", "frozen", "trained"] = Field(
        "auto", description="backbone batch norm in phase 2; auto: trained if weights=none"
    )
    ema: float = Field(0.0, ge=0, lt=1, description="momentum of the weight average that is evaluated; 0 for none")

    main_loss: Literal["focal", "cce"] = Field("cce", description="loss of the main head")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="label smoothing of the main head")
    focal_class_weights: str = Field("1.2,1.1,1.0,1.1,1.15", description="focal loss: class weights, balanced or none")
    disable_aux_binary_head: bool = Field(False, description="no auxiliary head: its probability is always 0.5")
    aux_loss_weight: float = Field(0.2, ge=0, description="weight of the auxiliary head's loss")
    aux_positive_class: str = Field(AUX_POSITIVE, description="class for which the auxiliary logit is positive")
    aux_negative_class: str = Field(AUX_NEGATIVE, description="class for which the auxiliary logit is negative")

    xai_sample_count: int = Field(24, ge=0, description="validation images of the focus monitor; 0 turns it off")
    xai_every_n_epochs: int = Field(1, ge=1, description="epochs between two focus checks")
    # Published: 0.55, for cells that fill the frame. A window's cell covers about 0.14, the ratio of a uniform map.
    xai_focus_threshold: float = Field(0.2, ge=0, le=1, description="lowest accepted mean focus ratio")
    xai_patience: int = Field(3, ge=1, description="checks in a row below the threshold before a phase ends")

    tensorboard: bool = Field(True, description="write TensorBoard logs")
    workers: int = Field(0, ge=0, description="threads that prepare images; 0 takes all cores")

    @model_validator(mode="before")
    @classmethod
    def _set_policy_defaults(cls, data: Any) -> Any:
        """Replace missing probabilities by the policy's, so that the saved configuration contains them."""
        if not isinstance(data, dict):
            return data
        steps = PUBLISHED_STEPS.get(str(data.get("augmentation", "robust")), {})
        return {**steps, **{name: value for name, value in data.items() if name not in steps or value is not None}}

    @field_validator("framing", mode="before")
    @classmethod
    def _parse_framing(cls, value: Any) -> Any:
        if value is False:  # YAML 1.1 reads a bare `off` as false
            return Framing(mode="off")
        if not isinstance(value, str):
            return value
        if "=" not in value:
            return {"mode": value}
        return dict(part.strip().split("=", 1) for part in value.split(","))

    @field_validator("aux_positive_class", "aux_negative_class")
    @classmethod
    def _known_class(cls, value: str) -> str:
        return CLASSES[index_of(value)]

    @field_validator("focal_class_weights")
    @classmethod
    def _valid_class_weights(cls, value: str) -> str:
        parse_class_weights(value, [1] * len(CLASSES))
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.phase1_epochs + self.phase2_epochs == 0:
            raise ValueError("phase1_epochs and phase2_epochs are both 0; at least one epoch is needed")
        if self.aux_positive_class == self.aux_negative_class:
            raise ValueError(
                f"aux_positive_class and aux_negative_class are both {self.aux_positive_class}; two are needed"
            )
        published = type(self).model_fields["focal_class_weights"].default
        if self.main_loss == "cce" and self.focal_class_weights != published:
            raise ValueError("focal_class_weights applies only to the focal loss; set main_loss=focal too")
        return self

    @property
    def recipe(self) -> Recipe:
        """Augmentation of this run."""
        scales = {"Neutrophil": self.neutrophil_aug_scale, "Lymphocyte": self.lymphocyte_aug_scale}
        return Recipe(
            policy=self.augmentation,
            crop_prob=self.crop_prob,
            bg_prob=self.bg_randomization_prob,
            bg_strength=self.bg_randomization_strength,
            stain_prob=self.stain_jitter_prob,
            class_scales=tuple(scales.get(name, 1.0) for name in CLASSES),
            density_prob=self.density_jitter_prob,
            stain_strength=self.stain_strength,
            degradations=self.degradations,
        )

    @property
    def trains_batch_norm(self) -> bool:
        """True if phase 2 trains the batch normalisation of the backbone."""
        return self.batch_norm == "trained" or (self.batch_norm == "auto" and self.weights == "none")


def parse_class_weights(text: str, counts: list[int]) -> list[float] | None:
    """Parse the class weights of the focal loss.

    Args:
        text: `none`, `balanced` (inversely proportional to the counts, mean 1 over the images), or a number per class.
        counts: training images per class.

    Raises:
        ValueError: the text is anything else.
    """
    if text == "none":
        return None
    if text == "balanced":
        return [sum(counts) / (len(counts) * max(1, count)) for count in counts]
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != len(CLASSES) or not all(0 <= weight < float("inf") for weight in weights):
        raise ValueError(
            f"focal_class_weights={text!r}; none, balanced or {len(CLASSES)} numbers with commas are accepted"
        )
    return weights


def read_config(path: Path) -> dict[str, Any]:
    """Read the settings in a `.yaml`, `.yml` or `.toml` file; `-` in a name is read as `_`.

    Raises:
        InvalidParameter: the file does not exist, has another extension or a syntax error, or is not a table of known
            settings.
    """
    if not path.is_file():
        raise InvalidParameter(f"no file {path}; a .yaml or .toml file of settings is accepted")
    try:
        if path.suffix == ".toml":
            content = tomllib.loads(path.read_text())
        elif path.suffix in (".yaml", ".yml"):
            content = yaml.safe_load(path.read_text()) or {}
        else:
            raise InvalidParameter(f"{path} ends in {path.suffix!r}; .yaml, .yml and .toml are accepted")
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise InvalidParameter(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise InvalidParameter(f"{path} holds a {type(content).__name__}; a table of settings is accepted")
    settings_read = {str(name).replace("-", "_"): value for name, value in content.items()}
    unknown = sorted(set(settings_read) - set(TrainingConfig.model_fields))
    if unknown:
        raise InvalidParameter(f"{path} has {', '.join(unknown)}; no such setting, see `wbc train --help`")
    return settings_read


def save_config(config: TrainingConfig, path: Path) -> None:
    """Write every setting to a YAML file that `read_config` can read."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
