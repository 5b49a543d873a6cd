"""Names of the backbones, for configurations that do not load Keras."""

from typing import Literal

BackboneName = Literal["densenet121", "efficientnet-lite0"]
