"""The stages: short functions from a cell and the checkpoint it hangs off to an outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.stages.attack import attack
from robench.stages.corrupt import corrupt
from robench.stages.degrade import degrade
from robench.stages.layers import layers
from robench.stages.speed import speed
from robench.stages.train import train
from robench.stages.trees import trees
from robench.stages.worst_noise import worst_noise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robench.stages.base import Stage

__all__ = ["STAGES"]

STAGES: Mapping[str, Stage] = {
    "train": train,
    "speed": speed,
    "attack": attack,
    "degrade": degrade,
    "corrupt": corrupt,
    "worst_noise": worst_noise,
    "trees": trees,
    "layers": layers,
}
