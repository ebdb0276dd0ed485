"""Corruptions for images of about 32 pixels, with the constants of CIFAR-10-C.

Written anew, batched, in float64. Noise is drawn by counters (see `robench.degradations.random`),
so that the files of CIFAR-10-C are reproduced in distribution, not pixel by pixel. `frost` is
reproduced in kind alone: its photographs of ice are not there, and its ice is drawn instead. Left
out is spatter, one of the four extra kinds.

The constants are for images of 32 pixels. On others, all lengths count pixels of the image at hand,
but for those of the elastic transform, which the published code has as shares of the image's side.
"""

from __future__ import annotations

import inspect
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage, stats
from torch import Tensor

from robench.degradations.corruptions.elastic import elastic_transform
from robench.degradations.corruptions.motion import motion_blur, zoom_blur
from robench.degradations.corruptions.weather import Snow, fog, frost, snow
from robench.degradations.random import Noise
from robench.spec.identity import seed_for

__all__ = ["KINDS", "NATIVE_VERSION", "Kind", "corrupt_natively"]

NATIVE_VERSION = 2
"""Raise it with every change that changes pixels."""

_GROUP_PIXELS = 1 << 18
"""Pixels that are worked on at a time, so that memory does not grow with the batch."""


@dataclass(frozen=True)
class Kind:
    """A corruption and what its severities are.

    Args:
        function: ``function(images, constant)`` → the corrupted images, which need not lie in
            [0, 1]. Images are float64 [N, C, H, W], and are not to be changed. It takes a keyword
            ``noise`` when it draws random numbers.
        constants: CIFAR-10-C's, one for each severity.
    """

    function: Callable[..., Tensor]
    constants: tuple[Any, ...]

    def __call__(self, images: Tensor, severity: int, noise: Noise) -> Tensor:
        """The images at a severity from 1 to 5."""
        draws = "noise" in inspect.signature(self.function).parameters
        options = {"noise": noise} if draws else {}
        return self.function(images, self.constants[severity - 1], **options)


def corrupt_natively(images: Tensor, kind: str, severity: int, seed: int, index: Tensor) -> Tensor:
    """Corrupt images of 8 to 64 pixels; see `robench.degradations.corruptions.corrupt`.

    Args:
        images: float [N, C, H, W] in [0, 1].
        kind: a name in `KINDS`.
        severity: 1 to 5.
        seed: of the noise.
        index: int64 [N].
    """
    key = seed_for(seed, f"corruption {kind}", severity)
    out = torch.empty_like(images)
    group = max(1, _GROUP_PIXELS // images[0].numel())
    for start in range(0, len(images), group):
        part = slice(start, start + group)
        shown = images[part].double().mul(255).round_().div_(255)
        out[part] = _cut(KINDS[kind](shown, severity, Noise(key, index[part])))
    return out


def _cut(images: Tensor) -> Tensor:
    """Whole grey values, in [0, 1]: the fraction is dropped, as where the data sets were made.

    A hair more than nothing is added, so that a grey value that is whole but for rounding stays.
    """
    return images.clamp(0, 1).mul_(255).add_(1e-9).floor_().div_(255)


# -- noise -------------------------------------------------------------------------------------


def _normal(noise: Noise, images: Tensor) -> Tensor:
    """Standard normal numbers in the shape of the images (Box and Muller 1958)."""
    uniform = noise.uniform(2, *images.shape[1:]).double()
    radius = uniform[:, 0].neg().log1p().mul_(-2).sqrt_()
    return radius.mul_(uniform[:, 1].mul(2 * math.pi).cos_())


def gaussian_noise(images: Tensor, deviation: float, noise: Noise) -> Tensor:
    """Normal noise of this standard deviation, for each channel its own."""
    return images + deviation * _normal(noise, images)


def speckle_noise(images: Tensor, deviation: float, noise: Noise) -> Tensor:
    """Normal noise in proportion to the pixel's value."""
    return images + images * deviation * _normal(noise, images)


def shot_noise(images: Tensor, photons: float, noise: Noise) -> Tensor:
    """Counts of a Poisson distribution, where white means so many photons on average."""
    # There are 256 grey values: laid end to end, their distribution functions make one rising line,
    # in which a single search finds all counts.
    codes = images.mul(255).round().long()
    line, width = _poisson_line(float(photons))
    wanted = codes + noise.uniform(*images.shape[1:]).double()
    place = torch.searchsorted(line.to(images.device), wanted.contiguous(), right=True)
    return (place - codes * width).double() / photons


@lru_cache(maxsize=8)
def _poisson_line(photons: float) -> tuple[Tensor, int]:
    """For each grey value v: v + P(count ≤ k) for all k of note; and how many k there are."""
    means = np.arange(256) / 255 * photons
    width = int(stats.poisson.isf(1e-12, photons)) + 1
    below = stats.poisson.cdf(np.arange(width - 1), means[:, None])
    ends = np.ones((256, 1))  # no count lies beyond the last
    return torch.from_numpy((np.hstack([below, ends]) + np.arange(256)[:, None]).ravel()), width


def impulse_noise(images: Tensor, share: float, noise: Noise) -> Tensor:
    """This share of all values becomes black or white, for each channel its own."""
    uniform = noise.uniform(*images.shape[1:])
    out = images.masked_fill(uniform < share / 2, 0.0)
    return out.masked_fill_(uniform >= 1 - share / 2, 1.0)


# -- blur --------------------------------------------------------------------------------------


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of this standard deviation in pixels; borders are repeated outwards."""
    radius = int(4.0 * sigma + 0.5)
    if radius == 0:
        return images
    at = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    weight = torch.exp(-0.5 * (at / sigma) ** 2)
    weight /= weight.sum()
    planes = images.flatten(0, 1).unsqueeze(1)
    padded = F.pad(planes, (radius, radius, radius, radius), mode="replicate")
    across = F.conv2d(padded, weight.view(1, 1, 1, -1))
    return F.conv2d(across, weight.view(1, 1, -1, 1)).view_as(images)


def glass_blur(images: Tensor, constant: tuple[float, int, int], noise: Noise) -> Tensor:
    """A blur, pixels that take the colour of a neighbour, and the blur again.

    Pixel by pixel from the lower right, each takes the colour of a random one up to `reach` away.
    It was meant to be a swap, but the code behind the published data sets writes into what it
    still has to read, so that the neighbour keeps its colour; that is what those images show.
    """
    sigma, reach, rounds = constant
    blurred = gaussian_blur(images, sigma).mul(255).add_(1e-9).floor_().div_(255)
    count, _, height, width = images.shape
    rows = range(height - reach, reach, -1)
    columns = range(width - reach, reach, -1)
    uniform = noise.uniform(rounds, len(rows), len(columns), 2)
    moves = uniform.mul(2 * reach).floor_().long().sub_(reach)  # in [-reach, reach)
    each = torch.arange(count, device=images.device)
    pixels = blurred.permute(2, 3, 0, 1).contiguous()  # [H, W, N, C]: a pixel of all images at once
    for turn in range(rounds):
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                move = moves[:, turn, i, j]
                pixels[row, column] = pixels[row + move[:, 1], column + move[:, 0], each]
    return gaussian_blur(pixels.permute(2, 3, 0, 1), sigma)


def defocus_blur(images: Tensor, constant: tuple[float, float]) -> Tensor:
    """The image of a lens out of focus: a disk of this radius, its edge smoothed."""
    radius, smoothing = constant
    reach = math.ceil(radius) + 1
    at = np.arange(-reach, reach + 1)
    disk = (at[:, None] ** 2 + at**2 <= radius**2).astype(np.float64)
    edge = np.exp(-0.5 * (np.array([-1, 0, 1]) / smoothing) ** 2)
    edge /= edge.sum()
    kernel = ndimage.convolve(disk / disk.sum(), np.outer(edge, edge), mode="constant")
    padded = F.pad(images, (reach, reach, reach, reach), mode="reflect")
    height, width = images.shape[2:]
    out = torch.zeros_like(images)
    # Few entries are not zero: a sum of shifted images is quicker than a convolution in float64.
    for row, column in np.argwhere(kernel > 1e-12).tolist():
        shifted = padded[:, :, row : row + height, column : column + width]
        out.add_(shifted, alpha=float(kernel[row, column]))
    return out


# -- digital ---------------------------------------------------------------------------------------


def brightness(images: Tensor, more: float) -> Tensor:
    """More of the value of hue, saturation and value: the brightest channel rises by `more`."""
    value = images.amax(1, keepdim=True)
    brighter = (value + more).clamp(max=1.0)
    return torch.where(value > 0, images * brighter / value.clamp(min=1e-9), brighter)


def contrast(images: Tensor, share: float) -> Tensor:
    """This share of the distance of each channel from its mean over the image."""
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * share + mean


def saturate(images: Tensor, constant: tuple[float, float]) -> Tensor:
    """The saturation of hue, saturation and value, times a factor and plus a number.

    What has no hue is taken to be red, as everywhere in that colour space.
    """
    factor, more = constant
    value, low = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    saturation = (value - low) / value.clamp(min=1e-9)
    wanted = (saturation * factor + more).clamp(0, 1)
    # (value − channel) / value is the saturation times a number that the hue alone decides.
    lacking = (value - images) / (value - low).clamp(min=1e-9)
    red = torch.tensor([0.0, 1.0, 1.0], dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    lacking = torch.where(value > low, lacking, red)
    return value * (1 - wanted * lacking)


def pixelate(images: Tensor, share: float) -> Tensor:
    """Scaled down to this share of its sides, by the mean over boxes, and up again."""

    def coarser(image: Image.Image) -> Image.Image:
        width, height = image.size
        small = image.resize((int(width * share), int(height * share)), Image.Resampling.BOX)
        return small.resize((width, height), Image.Resampling.BOX)

    return _by_pillow(images, coarser)


def jpeg_compression(images: Tensor, quality: int) -> Tensor:
    """What is left after JPEG at this quality, by Pillow's encoder and decoder."""

    def compressed(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _by_pillow(images, compressed)


def _by_pillow(images: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    """Each image through a function on 8-bit images."""
    codes = images.mul(255).round().to(torch.uint8).cpu().permute(0, 2, 3, 1).numpy()
    shown = codes[..., 0] if codes.shape[3] == 1 else codes  # as Pillow has grey images
    changed = [np.asarray(change(Image.fromarray(image))) for image in shown]
    stacked = torch.from_numpy(np.stack(changed)).view(len(images), *codes.shape[1:])
    return stacked.permute(0, 3, 1, 2).to(images.device, images.dtype) / 255


KINDS: Mapping[str, Kind] = {
    "gaussian-noise": Kind(gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot-noise": Kind(shot_noise, (500.0, 250.0, 100.0, 75.0, 50.0)),
    "impulse-noise": Kind(impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "speckle-noise": Kind(speckle_noise, (0.06, 0.1, 0.12, 0.16, 0.2)),
    "gaussian-blur": Kind(gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
    "glass-blur": Kind(
        glass_blur, ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))
    ),
    "defocus-blur": Kind(
        defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))
    ),
    "zoom-blur": Kind(zoom_blur, (1.06, 1.11, 1.16, 1.21, 1.26)),
    "motion-blur": Kind(motion_blur, ((6.0, 1.0), (6.0, 1.5), (6.0, 2.0), (8.0, 2.0), (9.0, 2.5))),
    "snow": Kind(
        snow,
        (
            Snow(0.1, 0.2, 1.0, 0.6, 8.0, 3.0, 0.95),
            Snow(0.1, 0.2, 1.0, 0.5, 10.0, 4.0, 0.9),
            Snow(0.15, 0.3, 1.75, 0.55, 10.0, 4.0, 0.9),
            Snow(0.25, 0.3, 2.25, 0.6, 12.0, 6.0, 0.85),
            Snow(0.3, 0.3, 1.25, 0.65, 14.0, 12.0, 0.8),
        ),
    ),
    "frost": Kind(frost, ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    "elastic-transform": Kind(
        elastic_transform,
        (
            (0.0, 0.0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        ),
    ),
    "fog": Kind(fog, ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))),
    "brightness": Kind(brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": Kind(contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "saturate": Kind(saturate, ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))),
    "pixelate": Kind(pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg-compression": Kind(jpeg_compression, (80, 65, 58, 50, 40)),
}
"""Every kind with CIFAR-10-C's constants (Hendrycks and Dietterich 2019, arXiv 1903.12261). Those
of snow are from memory, and stand to be checked against the code that made the files."""
