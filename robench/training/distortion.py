"""Training on degraded images, drawn anew each time an image is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from robench.errors import NotApplicableError
from robench.spec.identity import seed_for

if TYPE_CHECKING:
    from torch import Tensor

    from robench.spec.recipe import Distortion

__all__ = ["Degrade", "TrainingDistortion"]


class Degrade(Protocol):
    """What `robench.degrade` looks like to the training loop."""

    def __call__(
        self, images: Tensor, kind: str, level: float, *, seed: int, index: Tensor
    ) -> Tensor:
        """Degraded images of the same shape; noise depends on seed, kind, level and index only."""
        ...


class TrainingDistortion:
    """Degrades the images of a training step.

    Each image of each step is either left clean, with the probability `clean_share`, or degraded at
    one of the levels, all equally likely. The choice and the noise depend on the seed, the step and
    the image's index, not on the batch it is in.

    Args:
        distortion: kind, levels and clean share.
        seed: of the choices and the noise.
        degrade: replaces `robench.degrade`.

    Raises:
        UnknownNameError: there is no such degradation.
    """

    def __init__(self, distortion: Distortion, seed: int, degrade: Degrade | None = None) -> None:
        from robench.degradations import DEGRADATIONS_REGISTRY

        self.distortion = distortion
        self.seed = seed
        if degrade is None:
            from robench.degradations import degrade as published

            degrade = published
        self._degrade = degrade
        self.levels = distortion.levels or DEGRADATIONS_REGISTRY.get(distortion.kind).levels

    def __call__(self, images: Tensor, index: Tensor, step: int) -> Tensor:
        """Degrade a batch.

        Args:
            images: float32 [N, C, H, W] in [0, 1].
            index: int64 [N], the images' numbers in the data set.
            step: the step they are shown in.

        Returns:
            New images of the same shape.

        Raises:
            NotApplicableError: the inputs are no images.
        """
        if images.dim() != 4:
            raise NotApplicableError(
                f"{self.distortion.kind} degrades images, not rows of {images.shape[1]} features"
            )
        choices = self._choices(index, step)
        seed = seed_for(self.seed, "noise", step)
        shown = images.clone()
        for number in torch.unique(choices).tolist():
            if number >= 0:
                places = (choices == number).nonzero().squeeze(1)
                shown[places] = self._degrade(
                    images[places],
                    self.distortion.kind,
                    self.levels[number],
                    seed=seed,
                    index=index[places],
                )
        return shown

    def _choices(self, index: Tensor, step: int) -> Tensor:
        """For each image the number of its level, or -1 where it stays clean."""
        from robench.degradations.random import Noise

        draw = Noise(seed_for(self.seed, "level", step), index).uniform().double()
        clean = self.distortion.clean_share
        number = ((draw - clean) / (1 - clean) * len(self.levels)).floor()
        return number.clamp_(-1, len(self.levels) - 1).to(torch.int64)
