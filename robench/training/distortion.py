"""Training on distorted images, drawn anew each time an image is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from robench.errors import NotApplicableError
from robench.spec.distortion import CLEAN
from robench.spec.identity import seed_for

if TYPE_CHECKING:
    from torch import Tensor

    from robench.degradations.base import Degradation
    from robench.spec.distortion import Distortion

__all__ = ["Degrade", "DrawnDegradations", "TrainingDistortion", "clean_places"]


class Degrade(Protocol):
    """What `robench.degrade` looks like to the training loop."""

    def __call__(
        self, images: Tensor, kind: str | Degradation, level: float, *, seed: int, index: Tensor
    ) -> Tensor:
        """Degraded images of the same shape; noise depends on seed, kind, level and index only."""
        ...


class TrainingDistortion(Protocol):
    """What stands between the training images and the network."""

    def __call__(
        self, images: Tensor, labels: Tensor, index: Tensor, step: int, *, learns: bool
    ) -> Tensor:
        """Distort a batch.

        Args:
            images: float32 [N, C, H, W] in [0, 1].
            labels: int64 [N].
            index: int64 [N], the images' numbers in the data set.
            step: the step they are shown in, from 0.
            learns: whether the network is about to be trained on them, so that a distortion which
                is trained beside it takes its own step; not so where a method only looks.

        Returns:
            New images of the same shape.

        Raises:
            NotApplicableError: the inputs are no images.
        """
        ...


class DrawnDegradations:
    """Degrades the images of a training step.

    Each image of each step is either left clean, with the probability `clean_share`, or degraded by
    one of the kinds at one of its levels, all kinds equally likely, and all levels of a kind. The
    choice and the noise depend on the seed, the step and the image's index, not on the batch that
    it is in.

    Args:
        distortion: kinds, levels and clean share.
        seed: of the choices and the noise.
        degrade: replaces `robench.degrade`.
        images: all training images, for the kinds that learn something from them.

    Raises:
        UnknownNameError: there is no such degradation.
    """

    def __init__(
        self,
        distortion: Distortion,
        seed: int,
        degrade: Degrade | None = None,
        images: Tensor | None = None,
    ) -> None:
        if degrade is None:
            from robench.degradations import degrade as published

            degrade = published
        self._degrade = degrade
        self._distortion = distortion
        self._seed = seed
        self._conditions = _conditions(distortion)
        self._kinds = _fitted(distortion, images)
        shares = torch.tensor([share for _, _, share in self._conditions], dtype=torch.float64)
        self._edges = shares.cumsum(0)[:-1]

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,  # noqa: ARG002 - of the protocol
        index: Tensor,
        step: int,
        *,
        learns: bool,  # noqa: ARG002 - likewise
    ) -> Tensor:
        """See `TrainingDistortion`."""
        check_images(images, self._distortion)
        choices = self._choices(index, step)
        seed = seed_for(self._seed, "noise", step)
        shown = images.clone()
        for number in torch.unique(choices).tolist():
            kind, level, _ = self._conditions[number]
            if kind != CLEAN:
                places = (choices == number).nonzero().squeeze(1)
                shown[places] = self._degrade(
                    images[places], self._kinds[kind], level, seed=seed, index=index[places]
                )
        return shown

    def _choices(self, index: Tensor, step: int) -> Tensor:
        """For each image the number of its condition."""
        draw = _draw(self._seed, index, step)
        return torch.bucketize(draw, self._edges.to(draw.device), right=True)


def check_images(images: Tensor, distortion: Distortion) -> None:
    """Refuse rows of features.

    Raises:
        NotApplicableError: the inputs are no images.
    """
    if images.dim() != 4:
        raise NotApplicableError(
            f"{distortion.label} distorts images, not rows of {images.shape[1]} features"
        )


def clean_places(distortion: Distortion, seed: int, index: Tensor, step: int) -> Tensor:
    """Which images of a step stay clean, bool [N]: each with the probability `clean_share`."""
    return _draw(seed, index, step) < distortion.clean_share


def _draw(seed: int, index: Tensor, step: int) -> Tensor:
    """A uniform number in [0, 1) for each image of a step, float64 [N]."""
    from robench.degradations.random import Noise

    return Noise(seed_for(seed, "level", step), index).uniform().double()


def _conditions(distortion: Distortion) -> list[tuple[str, float, float]]:
    """Kind, level and probability of everything that an image may go through."""
    from robench.degradations import DEGRADATIONS_REGISTRY

    share = (1 - distortion.clean_share) / len(distortion.kinds)
    found = [(CLEAN, 0.0, distortion.clean_share)]
    for kind in distortion.kinds:
        if kind == CLEAN:
            levels: tuple[float, ...] = (0.0,)
        else:
            levels = distortion.levels or DEGRADATIONS_REGISTRY.get(kind).levels
        found += [(kind, level, share / len(levels)) for level in levels]
    return found


def _fitted(distortion: Distortion, images: Tensor | None) -> dict[str, str | Degradation]:
    """What stands for each kind: its name, or where it was fitted to the images the result."""
    from robench.degradations import DEGRADATIONS_REGISTRY

    found: dict[str, str | Degradation] = {kind: kind for kind in distortion.degradations}
    if images is None or images.dim() != 4:
        return found
    for kind in distortion.degradations:
        known = DEGRADATIONS_REGISTRY.get(kind)
        fitted = known.fitted(images)
        if fitted is not known:
            found[kind] = fitted
    return found
