"""Fog, snow and frost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from scipy import ndimage

from robench.degradations.corruptions.motion import blurred_along, enlargement

if TYPE_CHECKING:
    from torch import Tensor

    from robench.degradations.random import Noise

__all__ = ["ICE", "Snow", "fog", "frost", "ice", "snow"]

_LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in the grey that snow is bright by (ITU-R BT.601), as in the published
code."""


def fog(images: Tensor, constant: tuple[float, float], noise: Noise) -> Tensor:
    """A cloud of this density in front of the image, made by midpoint displacement."""
    density, decay = constant
    side = 1 << (max(images.shape[2:]) - 1).bit_length()
    cloud = _cloud(side, decay, noise)[:, None, : images.shape[2], : images.shape[3]]
    brightest = images.amax((1, 2, 3), keepdim=True)
    return (images + density * cloud) * brightest / (brightest + density)


def _cloud(side: int, decay: float, noise: Noise) -> Tensor:
    """A fractal [N, side, side] from 0 to 1 that meets itself at its borders.

    Fournier, Fussell and Carpenter 1982, "Computer rendering of stochastic models": every new point
    is the mean of four around it, displaced at random; displacements shrink by `decay` squared
    from one scale to the next.
    """
    uniform = noise.uniform(side, side).double().mul_(2).sub_(1)
    heights = torch.zeros_like(uniform)
    step, amplitude = side, 100.0
    while step >= 2:
        half = step // 2
        shift = amplitude**2 * uniform
        corners = heights[:, ::step, ::step]
        below = corners + corners.roll(-1, 1)
        middles = (below + below.roll(-1, 2)) / 4
        heights[:, half::step, half::step] = middles + shift[:, half::step, half::step]
        middles = heights[:, half::step, half::step]
        beside = corners + corners.roll(-1, 2) + middles + middles.roll(1, 1)
        heights[:, ::step, half::step] = beside / 4 + shift[:, ::step, half::step]
        above = corners + corners.roll(-1, 1) + middles + middles.roll(1, 2)
        heights[:, half::step, ::step] = above / 4 + shift[:, half::step, ::step]
        step, amplitude = half, amplitude / decay
    heights -= heights.amin((1, 2), keepdim=True)
    return heights / heights.amax((1, 2), keepdim=True)


class Snow(NamedTuple):
    """What a severity of snow is."""

    mean: float
    """Of the normal numbers that flakes are the largest of."""
    deviation: float
    zoom: float
    """How many pixels wide a flake is."""
    threshold: float
    """Numbers below it are no flake."""
    radius: float
    """Of the blur along the way that flakes fall, in pixels."""
    sigma: float
    """Likewise: standard deviation."""
    kept: float
    """Share of the image in its mixture with a brighter one."""


def snow(images: Tensor, constant: Snow, noise: Noise) -> Tensor:
    """A brighter image, and flakes that fall at an angle of its own, twice: once upside down.

    Flakes are the largest of a plane of normal numbers, enlarged, and blurred along their way,
    which is up to 45 degrees from the vertical.
    """
    grey = images
    if images.shape[1] == 3:
        red, green, blue = images.unbind(1)
        grey = (red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]).unsqueeze(1)
    brighter = torch.maximum(images, grey * 1.5 + 0.5)
    flakes = _flakes(images, constant, noise)
    mixed = constant.kept * images + (1 - constant.kept) * brighter
    return mixed + flakes + flakes.rot90(2, (2, 3))


def _flakes(images: Tensor, constant: Snow, noise: Noise) -> Tensor:
    """Whole grey values [N, 1, H, W] in [0, 1]."""
    height, width = images.shape[2:]
    numbers = noise.normal(1, height, width).double()
    plane = numbers.mul_(constant.deviation).add_(constant.mean)
    down, across = (
        torch.from_numpy(enlargement(size, constant.zoom)).to(images.device)
        for size in (height, width)
    )
    plane = down @ plane @ across.T
    plane = torch.where(plane < constant.threshold, 0.0, plane).clamp_(0, 1)
    plane = plane.mul_(255).floor_().div_(255)
    angles = noise.stream(1).uniform().double().mul(90).sub(135)
    fallen = blurred_along(plane, constant.radius, constant.sigma, angles)
    return fallen.mul_(255).round_().div_(255)


class _Ice(NamedTuple):
    """The looks of a photograph of ice, measured on windows of 32 pixels of a fifth of its size."""

    red: float
    green: float
    blue: float
    deviation: float
    """Standard deviation of the grey within a window."""
    between: float
    """Standard deviation of the mean grey of a window."""


ICE = (
    _Ice(0.306, 0.583, 0.647, 0.056, 0.042),
    _Ice(0.777, 0.795, 0.831, 0.071, 0.034),
    _Ice(0.777, 0.795, 0.831, 0.071, 0.034),  # the second photograph is there twice
    _Ice(0.561, 0.619, 0.669, 0.102, 0.041),
    _Ice(0.403, 0.448, 0.494, 0.136, 0.064),
)
"""Of the five photographs that ImageNet-C and CIFAR-10-C have frost from, as the package
imagecorruptions has them."""
_GRAINS = (1.0, 2.0, 4.0)
"""Sizes of the grains of ice beside single pixels: standard deviations of Gaussians, in pixels."""
_COARSE = 0.35
"""Contrast of grains of each size, as a share of that of single pixels. The amplitudes then fall as
the frequency to about the power -0.4, as those of the photographs do to the power -0.2 to -0.6."""


def frost(images: Tensor, constant: tuple[float, float], noise: Noise) -> Tensor:
    """This share of the image, and this share of a picture of ice.

    The published pictures are windows of photographs; here `ice` draws them.
    """
    kept, added = constant
    return kept * images + added * ice(images, noise)


def ice(images: Tensor, noise: Noise) -> Tensor:
    """A picture of ice for each image: grains of several sizes, of the colours of a photograph.

    Which of the five photographs in `ICE`, how bright, and the grains are the image's own. Colours,
    contrasts and spectra are those of the photographs, crystals there are none.

    Args:
        images: [N, C, H, W]; only the shape matters. One channel gets the grey of the colours.
        noise: of the images.

    Returns:
        float64 [N, C, H, W] in [0, 1].
    """
    height, width = images.shape[2:]
    fine, *coarse = noise.normal(1 + len(_GRAINS), height, width).double().unbind(1)
    plane = fine
    for sigma, white in zip(_GRAINS, coarse, strict=True):
        smooth = ndimage.gaussian_filter(white.cpu().numpy(), (0.0, sigma, sigma), mode="reflect")
        # The kernel leaves white noise 1 / (2 sigma √π) of its deviation.
        share = _COARSE * 2 * sigma * math.sqrt(math.pi)
        plane = plane + share * torch.from_numpy(smooth).to(plane)
    plane = plane - plane.mean((1, 2), keepdim=True)
    plane = plane / plane.square().mean((1, 2), keepdim=True).sqrt()
    looks = torch.tensor(ICE, dtype=torch.float64, device=images.device)
    own = noise.stream(1).uniform(2).double()
    look = looks[own[:, 0].mul(len(ICE)).long()]
    brightness = (own[:, 1] * 2 - 1) * math.sqrt(3)  # uniform, of standard deviation 1
    shade = look[:, 3, None, None] * plane + (look[:, 4] * brightness)[:, None, None]
    colour = look[:, :3]
    if images.shape[1] == 1:
        colour = (colour * colour.new_tensor(_LUMA)).sum(1, keepdim=True)
    return (colour[:, :, None, None] + shade[:, None]).clamp_(0, 1)
