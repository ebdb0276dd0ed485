"""The common corruptions of Hendrycks and Dietterich 2019 (arXiv 1903.12261).

Fifteen kinds in five severities, and four more that are meant for choosing hyper-parameters. What a
severity means is a matter of the image's size: ``constants="imagenet-c"`` are those for images of
224 pixels, by the package imagecorruptions (Michaelis et al. 2019, arXiv 1907.07484);
``"cifar-10-c"`` are those for images of 32 pixels, by robench itself, for all kinds but spatter.

Images that are corrupted here are not those of ImageNet-C or CIFAR-10-C, whose files are fixed:
`robench.data.corrupted` reads those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from robench.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "COMMON",
    "CORRUPTIONS",
    "SEVERITIES",
    "Constants",
    "Corruption",
    "corrupt",
    "obstacle",
]

Constants: TypeAlias = Literal["imagenet-c", "cifar-10-c"]

SEVERITIES = (1, 2, 3, 4, 5)

_LEAST_SIDE = {"imagenet-c": 32, "cifar-10-c": 8}
"""imagecorruptions takes no smaller images; blurs for 32 pixels need some to work on."""
_MOST_SIDE = {"cifar-10-c": 64}
"""Constants for 32 pixels hardly show on images more than twice as large."""


class Corruption(NamedTuple):
    """What is known about one kind."""

    group: Literal["noise", "blur", "weather", "digital"]
    is_common: bool
    """Whether it is one of the fifteen to be reported, rather than one of the four extra ones."""
    is_native: bool
    """Whether robench has it with the constants of CIFAR-10-C."""
    needs_colour: bool = False


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {
        "gaussian-noise": Corruption("noise", True, True),
        "shot-noise": Corruption("noise", True, True),
        "impulse-noise": Corruption("noise", True, True),
        "defocus-blur": Corruption("blur", True, True),
        "glass-blur": Corruption("blur", True, True),
        "motion-blur": Corruption("blur", True, True),
        "zoom-blur": Corruption("blur", True, True),
        "snow": Corruption("weather", True, True),
        "frost": Corruption("weather", True, True),
        "fog": Corruption("weather", True, True),
        "brightness": Corruption("weather", True, True),
        "contrast": Corruption("digital", True, True),
        "elastic-transform": Corruption("digital", True, True),
        "pixelate": Corruption("digital", True, True),
        "jpeg-compression": Corruption("digital", True, True),
        "speckle-noise": Corruption("noise", False, True),
        "gaussian-blur": Corruption("blur", False, True),
        "spatter": Corruption("weather", False, False),
        "saturate": Corruption("digital", False, True, needs_colour=True),
    }
)
"""All kinds, in the order of the paper."""

COMMON = tuple(kind for kind, known in CORRUPTIONS.items() if known.is_common)
"""The fifteen that a mean corruption error is taken over."""


def corrupt(
    images: Tensor,
    kind: str,
    severity: int,
    seed: int = 0,
    index: Tensor | Sequence[int] | None = None,
    constants: Constants = "imagenet-c",
) -> Tensor:
    """Corrupt a batch of images.

    Images are rounded to whole grey values first, and the result is cut to whole grey values, as in
    the published data sets. A grey image is corrupted as a colour image of three equal channels: of
    noise it keeps the first channel, of all else the grey plane.

    Args:
        images: float32 or float64 [N, C, H, W] in [0, 1], with one or three channels.
        kind: a name in `CORRUPTIONS`.
        severity: 1 to 5.
        seed: of the noise.
        index: whole numbers >= 0, one for each image: its number in the data set, by default
            0 … N-1. Noise is drawn for (seed, kind, severity, index), so that a batch, a shuffle or
            a single image gives the same pixels.
        constants: what the severities mean, see above.

    Returns:
        New images of the same shape, type and device, in [0, 1]: multiples of 1/255.

    Raises:
        UnknownNameError: there is no such kind.
        InputError: an argument that is not as above, or images that the kind cannot bear.
        PluginError: imagecorruptions is needed and not installed.
    """
    from robench.degradations.checks import as_number, check_images, check_index, check_seed

    where = f"corruption {kind!r}"
    check_images(images, channels=(1, 3), smallest=1, where=where)
    why_not = obstacle(kind, constants, tuple(images.shape[1:]))
    if why_not is not None:
        raise InputError(f"{kind} with the constants of {constants}: {why_not}", where=where)
    number = as_number(severity)
    if number not in SEVERITIES:
        raise InputError(f"{severity!r} is not a severity", where=where, allowed=SEVERITIES)
    severity = int(number)
    positions = check_index(index, images, where=where)
    seed = check_seed(seed, where=where)
    if constants == "imagenet-c":
        from robench.degradations.corruptions.library import corrupt_by_library

        return corrupt_by_library(images, kind, severity, seed, positions)
    from robench.degradations.corruptions.native import corrupt_natively

    return corrupt_natively(images, kind, severity, seed, positions)


def obstacle(kind: str, constants: str, shape: tuple[int, ...]) -> str | None:
    """Why images of this shape cannot be corrupted so; `None` where they can.

    Args:
        kind: a name in `CORRUPTIONS`.
        constants: ``"imagenet-c"`` or ``"cifar-10-c"``.
        shape: channels, height, width.

    Raises:
        UnknownNameError: there is no such kind.
        InputError: there are no such constants.
    """
    if kind not in CORRUPTIONS:
        raise UnknownNameError("corruption", kind, CORRUPTIONS)
    if constants not in _LEAST_SIDE:
        raise InputError(f"there are no constants {constants!r}", allowed=_LEAST_SIDE)
    channels, height, width = shape
    known = CORRUPTIONS[kind]
    least, most = _LEAST_SIDE[constants], _MOST_SIDE.get(constants)
    if constants == "cifar-10-c" and not known.is_native:
        return "robench has no code of its own for it"
    if known.needs_colour and channels != 3:
        return "grey images have no colour to change"
    if min(height, width) < least:
        return f"images of {height} x {width} pixels are too small: it takes {least} x {least}"
    if most is not None and max(height, width) > most:
        return f"images of {height} x {width} pixels are too large: it takes {most} x {most}"
    return None
