"""Image degradations: graded ways to make images harder to recognise.

They are those of Geirhos et al. 2018, "Generalisation in humans and deep neural networks" (arXiv
1808.08750), as pure functions on batches of images, on any device. Noise depends on the seed, the
kind, the level and the index of an image, never on the batch that it is in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from robench.degradations.levels import PUBLISHED
from robench.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from robench.degradations.base import Degradation

__all__ = ["DEGRADATIONS", "DEGRADATIONS_REGISTRY", "degrade"]

DEGRADATIONS_REGISTRY: Registry[Degradation] = Registry(
    "degradation",
    group="robench.degradations",
    builtins={
        **{kind: published.target for kind, published in PUBLISHED.items()},
        "gaussian-noise": "robench.degradations.additive:gaussian_noise",
        "speckle-noise": "robench.degradations.additive:speckle_noise",
    },
    accept="robench.degradations.base:check_plugin",
)
"""Every degradation by its name, plug-ins included."""

DEGRADATIONS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {kind: published.levels for kind, published in PUBLISHED.items()}
)
"""The published levels of the built-in kinds, from the mildest to the strongest."""


def degrade(
    images: Tensor,
    kind: str | Degradation,
    level: float,
    seed: int = 0,
    index: Tensor | Sequence[int] | None = None,
    variant: str | None = None,
) -> Tensor:
    """Degrade a batch of images.

    All kinds but ``greyscale`` and ``opponent-colour`` turn the images grey first. Levels of
    ``low-pass`` are pixels of an image of 224 x 224, and those of the eidolons pixels of one of
    256 x 256, scaled to the size at hand; those of ``high-pass`` are pixels of the image itself;
    ``variant="pixels"`` or ``"scaled"`` chooses for the filters. Other variants follow the code
    that the paper released: see `Degradation.variants`. ``power-equalisation`` gives images a
    spectrum like that of photographs, or that of a data set once it is fitted: see
    `Degradation.fitted`.

    Args:
        images: float32 or float64 [N, C, H, W] in [0, 1], with one or three channels.
        kind: a name in `DEGRADATIONS`, or that of a plug-in; or a degradation itself, such as one
            that was fitted to a data set.
        level: a published level, or any other in the range of the kind.
        seed: of the noise.
        index: whole numbers >= 0, one for each image: its number in the data set, by default
            0 … N-1. Noise is drawn for (seed, kind, level, index), so that a batch, a shuffle or
            a single image gives the same pixels.
        variant: of a kind that has variants; by default its first.

    Returns:
        New images of the same shape, type and device, in [0, 1].

    Raises:
        UnknownNameError: there is no such kind.
        InputError: an argument that is not as above; the message says what is allowed.
    """
    degradation = DEGRADATIONS_REGISTRY.get(kind) if isinstance(kind, str) else kind
    return degradation(images, level, seed=seed, index=index, variant=variant)
