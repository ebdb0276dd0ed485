"""How much noise a data set bears, and whether its images got as much as they should."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from robench.attacks.evaluation.flags import Definition
from robench.errors import InputError

if TYPE_CHECKING:
    from pydantic import JsonValue
    from torch import Tensor

__all__ = ["LEVEL_RULE", "NOISE_FLAGS", "NoiseTally", "data_set_rms"]

SHARE_OF_CONTRAST = 0.5
"""Length of the noise, as a share of the distance from an image to the nearest constant one."""
LEVEL_RULE = (
    f"{SHARE_OF_CONTRAST:g} of the median distance from a training image to the nearest image of "
    "one colour"
)
"""Where the level comes from that `data_set_rms` returns, for a record."""
_LOOKED_AT = 10_000
"""Training images that the median is taken over, the first ones: a fair sample of a split."""
_PART_VALUES = 1 << 22
_GREY_VALUE = 1 / 255
_SHORT = 0.99
"""Noise of less than this share of its length is short."""

NOISE_FLAGS: Mapping[str, Definition] = MappingProxyType(
    {
        "noise-blanks": Definition(
            (0.0, 0.01),
            "share of noisy images of which one colour is left: the noise hides everything",
        ),
        "noise-short": Definition(
            (0.0, 0.01), "share of noisy images whose noise is cut short by the range of an image"
        ),
    }
)
"""What may be wrong with the noise that images were shown."""


def data_set_rms(images: Tensor) -> float:
    """A level of noise that the images of a data set bear: a root mean square over their values.

    Half of the median distance from an image to the nearest image of one colour, which is that of
    the means of its channels. Noise that is longer than that distance may be the way to a blank
    image: 0.348, which is published for ImageNet, is so for more than half of the digits of MNIST.

    Args:
        images: of a training split, uint8 [N, C, H, W], or float32 in [0, 1].

    Returns:
        In (0, 0.25], rounded to four digits, so that it is the same on all machines.

    Raises:
        InputError: half of the images, or more, are of one colour each.
    """
    shown = images[:_LOOKED_AT]
    parts = torch.split(shown, max(1, _PART_VALUES // shown[0].numel()))
    scale = 255.0 if images.dtype == torch.uint8 else 1.0
    variances = [
        (part.double() / scale).flatten(2).var(dim=2, correction=0).mean(dim=1).cpu()
        for part in parts
    ]
    rms = SHARE_OF_CONTRAST * float(torch.cat(variances).sqrt().quantile(0.5))
    rounded = float(f"{rms:.4g}")
    if rounded < _GREY_VALUE / 10:
        raise InputError(
            "most training images are of one colour each: they give noise no level",
            allowed="a level that the suite says, such as `level: 0.1`",
        )
    return rounded


@dataclass
class NoiseTally:
    """Counts noisy images that are blank, or whose noise is short.

    Args:
        rms: root mean square that the noise should have.
        rule: where that comes from, in words.
    """

    rms: float
    rule: str

    @staticmethod
    def of(given: float | None = None, *, images: Tensor) -> NoiseTally:
        """For the level that a suite gives, or else for that of the data set.

        Args:
            given: root mean square.
            images: of the training split.

        Raises:
            InputError: there is none given, and none to be had from the images.
        """
        if given is not None:
            return NoiseTally(given, "given by the suite")
        return NoiseTally(data_set_rms(images), LEVEL_RULE)

    def __post_init__(self) -> None:
        self.images = 0
        self._counts = torch.zeros(2, dtype=torch.int64)

    def see(self, images: Tensor, shown: Tensor) -> None:
        """Count images.

        Args:
            images: float [N, C, H, W] without noise.
            shown: with it.
        """
        wanted = self.rms * math.sqrt(images[0].numel()) if len(images) else 0.0
        length = (shown - images).flatten(1).double().norm(dim=1)
        blank = _is_blank(shown) & ~_is_blank(images)
        self.images += len(images)
        # On the device of the images, which is not waited for at every step.
        found = torch.stack([blank.sum(), (length < _SHORT * wanted).sum()])
        self._counts = self._counts.to(found.device) + found

    def notes(self) -> dict[str, JsonValue]:
        """What was counted, for a record."""
        blank, short = (int(count) / max(1, self.images) for count in self._counts)
        return {
            "noise_rms": self.rms,
            "noise_rms_from": self.rule,
            "noisy_images": self.images,
            "blank_share": blank,
            "short_share": short,
        }

    def flags(self) -> list[dict[str, JsonValue]]:
        """The flags of `NOISE_FLAGS`, raised or not, for a record."""
        notes = self.notes()
        values = {"noise-blanks": notes["blank_share"], "noise-short": notes["short_share"]}
        return [
            asdict(definition.flag(name, float(str(values[name]))))
            for name, definition in NOISE_FLAGS.items()
        ]


def _is_blank(images: Tensor) -> Tensor:
    """Which images have one colour, to a grey value: bool [N]."""
    values = images.flatten(2)
    return ((values.amax(dim=2) - values.amin(dim=2)) < _GREY_VALUE).all(dim=1)
