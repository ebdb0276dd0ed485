"""Eidolons: images whose layers of detail are shoved about (Geirhos et al. 2018, 1808.08750).

"Partially coherent disarray" of Koenderink, Valsecchi, van Doorn, Wagemans and Gegenfurtner 2017
(Eidolons: novel stimuli for vision research, Journal of Vision 17(2)). An image is taken apart into
layers, each the difference of two Gaussian blurs, and the pixels of each layer are moved along two
fields of smooth noise before the layers are added up again. `reach` is how far they move;
`coherence`, how much the layers move together; `grain`, how smooth the noise of each alone is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from robench.degradations.base import Degradation, to_grey
from robench.degradations.levels import PUBLISHED
from robench.degradations.random import Noise

__all__ = ["eidolon", "eidolon_1", "eidolon_2", "eidolon_3"]

_SIZE = 256
"""Of the paper's images, longer side: reach and grain count their pixels."""
_GRAIN = 10.0
_LARGEST = 64.0
"""Smoothing in pixels at which a plane of the coherent noise would have the weight 1."""
_NOISE = 27.0
"""Standard deviation of the noise before it is smoothed. In the paper each plane of 512 x 512
normal numbers is scaled so that the greatest is 127.5; this is what that gives on average."""
_ALIGNMENT = 16
_NEGLIGIBLE_FREQUENCY = 2.75
"""Past this many times size / smoothing, a cosine that is smoothed is below 1e-16 of itself."""
_MARGIN = 4.5
"""Of the noise around the image, in standard deviations of the kernel that smooths it."""

_eidolon_of = partial(
    Degradation,
    unit="reach of the disarray, in pixels of an image whose longer side has 256, grain 10; both "
    "scaled to the size at hand, and the layers from 0.7 pixels to an eighth of the longer side; "
    "convolved: smoothing is by convolution in two dimensions",
    neutral=1.0,
    bounds=(0.0, 1024.0),
    reads="colour",
    smallest=8,
    working_planes=16,
)


@partial(_eidolon_of, name="eidolon-1", levels=PUBLISHED["eidolon-1"].levels)
def eidolon_1(images: Tensor, level: float, *, noise: Noise) -> Tensor:
    """Eidolon I: all layers of detail move together (coherence 1)."""
    return eidolon(images, level, coherence=1.0, noise=noise)


@partial(_eidolon_of, name="eidolon-2", levels=PUBLISHED["eidolon-2"].levels)
def eidolon_2(images: Tensor, level: float, *, noise: Noise) -> Tensor:
    """Eidolon II: layers of detail move partly together, partly each alone (coherence 0.3)."""
    return eidolon(images, level, coherence=0.3, noise=noise)


@partial(_eidolon_of, name="eidolon-3", levels=PUBLISHED["eidolon-3"].levels)
def eidolon_3(images: Tensor, level: float, *, noise: Noise) -> Tensor:
    """Eidolon III: each layer of detail moves alone (coherence 0)."""
    return eidolon(images, level, coherence=0.0, noise=noise)


def eidolon(images: Tensor, reach: float, *, coherence: float, noise: Noise) -> Tensor:
    """Partially coherent disarray of the grey image.

    Coherent noise is a sum over planes, smoothed like this layer and all coarser ones, so that fine
    layers move with the coarse ones. Outside, an image goes on as its mirror image.

    Two things are done otherwise than in the released code, besides the convolution: its planes are
    scaled by their own greatest number, and shifted by their mean over their standard deviation, a
    slip; here all have one scale and none is shifted. And a plane of noise is drawn no finer than
    its smoothing asks for, which changes its variance by less than one part in a thousand.

    Args:
        images: [N, C, H, W] in [0, 1].
        reach: in pixels of an image whose longer side has 256.
        coherence: 0 to 1.
        noise: of the images.

    Returns:
        [N, 1, H, W] in [0, 1].
    """
    planes = to_grey(images)
    scale = max(planes.shape[-2:]) / _SIZE
    layers = _Layers.of(planes)
    waves = layers.waves(planes)
    grain = max(scale * _GRAIN, layers.smoothing[0])
    shifts = _shifts(layers.smoothing, coherence, grain, noise, planes)
    total = torch.zeros_like(planes)
    for number, shift in shifts:
        total += _moved(layers.layer(waves, number), shift * (reach * scale))
    return total.clamp_(0.0, 1.0).unsqueeze(1)


def _moved(planes: Tensor, shift: Tensor) -> Tensor:
    """Resample each pixel from its shifted position; `shift` is float32 [N, 2, H, W]."""
    lengths = planes.shape[-2:]
    down, across = (
        _mirrored(shift[:, axis] + torch.arange(length, device=shift.device).view(shape), length)
        for axis, (length, shape) in enumerate(zip(lengths, ((-1, 1), (1, -1)), strict=True))
    )
    # Flat indices row * W + column, [N, H * W].
    places = down.mul_(lengths[1]).add_(across).to(torch.int64).flatten(1)
    return planes.flatten(1).gather(1, places).view_as(planes)


def _mirrored(places: Tensor, length: int) -> Tensor:
    """Round to whole pixels, clamp to half an image beyond the edge, and reflect at the edge."""
    places = places.floor_().clamp_(-(length // 2), length + length // 2 - 1)
    places = torch.minimum(places, 2 * length - 1 - places)
    return torch.maximum(places, -1 - places)


def _shifts(
    smoothing: Sequence[float], coherence: float, grain: float, noise: Noise, like: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """For each layer, from the coarsest to the finest, its number and how pixels move at reach 1.

    Shifts are float32 [N, 2, H, W], whatever the type of the images, which then move alike.
    """
    height, width = like.shape[-2:]
    smooth = [_Smooth.of(height, width, sigma, like.device) for sigma in smoothing]
    alone = _Smooth.of(height, width, grain, like.device)
    drawn = _split(
        noise,
        (*(smooth if coherence else ()), *([alone] * len(smooth) if coherence < 1 else ())),
    )
    together = torch.zeros((), device=like.device)
    for number in reversed(range(len(smooth))):
        shift = torch.zeros((), device=like.device)
        if coherence:
            weight = coherence * _NOISE * smoothing[number] / _LARGEST
            shift = together = smooth[number](drawn[number]).mul_(weight).add_(together)
        if coherence < 1:
            weight = (1.0 - coherence) * _NOISE * grain / _GRAIN
            shift = shift + alone(drawn[number - len(smooth)]).mul_(weight)
        yield number, shift


def _split(noise: Noise, fields: Sequence[_Smooth]) -> list[Tensor]:
    """Normal numbers for each field and both axes."""
    counts = [2 * field.rows * field.columns for field in fields]
    numbers = torch.split(noise.normal(sum(counts)), counts, dim=1)
    return [
        own.view(-1, 2, field.rows, field.columns)
        for own, field in zip(numbers, fields, strict=True)
    ]


@dataclass(frozen=True)
class _Smooth:
    """Smooths white noise by a Gaussian kernel of unit integral.

    The noise lies on a grid about as coarse as the kernel is wide, at most, and is scaled so that
    its smooth version has the variance that it would have with a number for each pixel.

    Args:
        down: the kernel at each point of the grid, seen from each row, [H, rows].
        across: likewise from each column, [W, columns].
        size: of the images.
    """

    down: Tensor
    across: Tensor
    size: tuple[int, int]

    @staticmethod
    def of(height: int, width: int, sigma: float, device: torch.device) -> _Smooth:
        return _smooth(height, width, sigma, device)

    @property
    def rows(self) -> int:
        return self.down.shape[1]

    @property
    def columns(self) -> int:
        return self.across.shape[1]

    def __call__(self, numbers: Tensor) -> Tensor:
        """float32 [N, 2, rows, columns] to [N, 2, H, W]."""
        field = self.down @ (numbers.reshape(-1, self.columns) @ self.across.T).view(
            *numbers.shape[:3], -1
        )
        return field[..., : self.size[0], : self.size[1]]


@lru_cache(maxsize=64)
def _smooth(height: int, width: int, sigma: float, device: torch.device) -> _Smooth:
    down, across = (_spread(length, sigma).to(device) for length in (height, width))
    return _Smooth(down, across, (height, width))


def _spread(length: int, sigma: float) -> Tensor:
    step = 2 ** max(0, math.floor(math.log2(sigma)))
    beyond = math.ceil(_MARGIN * sigma / step)
    points = _aligned(math.ceil((length - 1) / step) + 1 + 2 * beyond)
    pixel = torch.arange(_aligned(length), dtype=torch.float64)[:, None]
    grid = (torch.arange(points, dtype=torch.float64) - beyond) * step
    return (math.sqrt(step) * _gaussian(pixel - grid, sigma)).float()


def _gaussian(distance: Tensor, sigma: float) -> Tensor:
    return torch.exp(-0.5 * (distance / sigma) ** 2) / (math.sqrt(2.0 * math.pi) * sigma)


def _aligned(count: int) -> int:
    """Rounded up to rows of 64 bytes: see the filters."""
    return -(-count // _ALIGNMENT) * _ALIGNMENT


@dataclass(frozen=True)
class _Layers:
    """Takes images apart by blurs of their mirrored continuation, for which cosines are waves.

    Args:
        smoothing: standard deviation in pixels of the finer blur of each layer, ascending.
        down: cosines along the columns, [H, H], frequencies first.
        across: likewise along the rows, [W, W].
        gains: for each layer what it keeps of each pair of frequencies; higher ones it loses.
        size: of the images.
    """

    smoothing: tuple[float, ...]
    down: Tensor
    across: Tensor
    gains: tuple[Tensor, ...]
    size: tuple[int, int]

    @staticmethod
    def of(like: Tensor) -> _Layers:
        return _layers(*like.shape[-2:], like.dtype, like.device)

    def waves(self, planes: Tensor) -> Tensor:
        """The cosine transform, [N, frequencies, frequencies]."""
        height, width = planes.shape[-2:]
        padded = F.pad(planes, (0, len(self.across) - width, 0, len(self.down) - height))
        return self.down @ (padded @ self.across.T)

    def layer(self, waves: Tensor, number: int) -> Tensor:
        """The difference of two neighbouring blurs, or the last blur; [N, H, W]."""
        gain = self.gains[number]
        rows, columns = gain.shape
        layer = self.down[:rows].T @ ((waves[:, :rows, :columns] * gain) @ self.across[:columns])
        return layer[:, : self.size[0], : self.size[1]]


@lru_cache(maxsize=8)
def _layers(height: int, width: int, dtype: torch.dtype, device: torch.device) -> _Layers:
    size = max(height, width)
    count = math.ceil(2.0 * math.log2(size / 4))
    smoothing = tuple(2.0 ** ((number - 1) / 2) for number in range(count))
    blurs = [torch.outer(_passed(height, sigma), _passed(width, sigma)) for sigma in smoothing]
    blurs.append(torch.zeros_like(blurs[0]))
    gains = []
    for sigma, finer, coarser in zip(smoothing, blurs, blurs[1:], strict=False):
        rows, columns = (
            min(_aligned(length), _aligned(math.ceil(_NEGLIGIBLE_FREQUENCY * length / sigma)))
            for length in (height, width)
        )
        gains.append((finer - coarser)[:rows, :columns].to(device, dtype))
    down, across = (_cosines(length).to(device, dtype) for length in (height, width))
    return _Layers(smoothing, down, across, tuple(gains), (height, width))


def _cosines(length: int) -> Tensor:
    """The orthonormal cosine transform (type II), float64 [frequencies, length], with zeros."""
    frequency = torch.arange(length, dtype=torch.float64)[:, None]
    place = torch.arange(length, dtype=torch.float64) + 0.5
    waves = torch.cos(math.pi / length * frequency * place) * math.sqrt(2.0 / length)
    waves[0] /= math.sqrt(2.0)
    fill = _aligned(length) - length
    return F.pad(waves, (0, fill, 0, fill))


def _passed(length: int, sigma: float) -> Tensor:
    """What is left of each cosine when it is smoothed, float64; the kernel has unit integral."""
    distance = torch.fft.fftfreq(2 * length, 1 / (2 * length), dtype=torch.float64)
    passed = torch.fft.rfft(_gaussian(distance, sigma)).real[:length]
    return F.pad(passed, (0, _aligned(length) - length))
