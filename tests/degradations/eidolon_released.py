"""A reference implementation of eidolons that reproduces the released code bit by bit.

The code that made the stimuli of Geirhos et al. 2018 smooths images by a circular convolution in
one dimension: rows of the image and of the kernel are concatenated, so that blur leaks from the end
of each row into the start of the next. robench smooths in two dimensions instead. The golden
outputs of the released code prove that the rest of the algorithm is understood.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robench.degradations.random import Noise

Plane = NDArray[np.float64]

_SIZE = 256
_PAD = _SIZE // 2
_PADDED = 2 * _SIZE
_LARGEST = _SIZE / 4
_GRAIN = 10.0
_SMOOTHING = tuple(2.0 ** ((number - 1) / 2) for number in range(12))


def as_released(images: Tensor, reach: float, coherence: float, noise: Noise) -> Tensor:
    """The eidolons that the released code makes of 8-bit images, on the CPU one by one.

    Args:
        images: [N, C, 256, 256] in [0, 1], rounded to 8 bits.
        reach: in pixels.
        coherence: 0 to 1.
        noise: its legacy numbers are used.

    Returns:
        [N, 1, 256, 256], whole numbers in 0…255 divided by 255.
    """
    codes = images.detach().mul(255.0).round_().to("cpu", torch.uint8).numpy()
    eidolons = [
        _eidolon(_grey(image), reach, coherence, random)
        for image, random in zip(codes, noise.legacy(), strict=True)
    ]
    return torch.from_numpy(np.stack(eidolons)[:, None] / 255).to(images)


def _grey(image: NDArray[np.uint8]) -> Plane:
    """Grey as Pillow's mode L has it, in 16-bit fixed point."""
    if len(image) == 1:
        return np.asarray(image[0], dtype=np.float64)
    red, green, blue = image.astype(np.int64)
    grey = (19595 * red + 38470 * green + 7471 * blue + (1 << 15)) >> 16
    return np.asarray(grey, dtype=np.float64)


def _eidolon(grey: Plane, reach: float, coherence: float, random: np.random.RandomState) -> Plane:
    spectrum = np.fft.rfft(np.pad(grey, _PAD, mode="symmetric").ravel())
    total = np.zeros((_SIZE, _SIZE))
    inner = slice(_PAD, _PAD + _SIZE)
    pixels = np.arange(_PAD, _PAD + _SIZE)
    finer = _smoothed(spectrum, _SMOOTHING[0])
    for number, (down, across) in enumerate(_shifts(coherence, random)):
        layer = finer
        if number + 1 < len(_SMOOTHING):
            finer = _smoothed(spectrum, _SMOOTHING[number + 1])
            layer = layer - finer
        rows = np.clip(pixels[:, None] + reach * down[inner, inner], 0, _PADDED - 1)
        columns = np.clip(pixels + reach * across[inner, inner], 0, _PADDED - 1)
        total += layer[rows.astype(np.int64), columns.astype(np.int64)]
    return np.clip(total, 0, 255).astype(np.uint8).astype(np.float64)


def _shifts(coherence: float, random: np.random.RandomState) -> Iterator[tuple[Plane, Plane]]:
    """How the pixels of each layer move down and across, from the finest layer to the coarsest."""
    down, across = _together(coherence, random), _together(coherence, random)
    for number in range(len(_SMOOTHING)):
        # Numbers that would go into nothing are drawn only where others follow them.
        if coherence == 1.0:
            yield down[number], across[number]
            continue
        alone = [_noise(random, _GRAIN), _noise(random, _GRAIN)]
        yield (
            (1 - coherence) * alone[0] + coherence * down[number],
            (1 - coherence) * alone[1] + coherence * across[number],
        )


def _together(coherence: float, random: np.random.RandomState) -> list[Plane]:
    """For one axis the sum of the planes of each layer and all coarser ones."""
    if coherence == 0.0:
        for _ in _SMOOTHING:
            random.standard_normal((_PADDED, _PADDED))
        return [np.zeros((_PADDED, _PADDED))] * len(_SMOOTHING)
    planes = [_noise(random, sigma) * sigma / _LARGEST for sigma in _SMOOTHING]
    for number in reversed(range(len(planes) - 1)):
        planes[number] += planes[number + 1]
    return planes


def _noise(random: np.random.RandomState, sigma: float) -> Plane:
    drawn = random.standard_normal((_PADDED, _PADDED))
    scaled = np.clip(127.5 * drawn / np.abs(drawn).max(), -127, 127)
    smooth = _smoothed(np.fft.rfft(scaled.ravel()), sigma)
    # The mean over the standard deviation, where (smooth - mean) / std may have been meant.
    offset: float = smooth.mean() / smooth.std()
    return smooth - offset


def _smoothed(spectrum: NDArray[np.complex128], sigma: float) -> Plane:
    smooth = np.fft.irfft(spectrum * _kernel_spectrum(sigma), _PADDED**2)
    return smooth.reshape(_PADDED, _PADDED)


@lru_cache(maxsize=len(_SMOOTHING) + 1)
def _kernel_spectrum(sigma: float) -> NDArray[np.complex128]:
    distance = np.fft.fftfreq(_PADDED, 1 / _PADDED)
    kernel = np.exp(-(distance**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma)
    return np.fft.rfft(np.outer(kernel, kernel).ravel())
