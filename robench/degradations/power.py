"""Power equalisation: every image with one amplitude spectrum (Geirhos et al. 2018, 1808.08750)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from torch import Tensor

from robench.degradations.base import Degradation, in_fixed_batches, to_grey
from robench.degradations.levels import PUBLISHED
from robench.errors import InputError

__all__ = ["equalise", "natural_spectrum", "power_equalisation"]

_UNIT = "0: grey, 1: grey with one amplitude spectrum for all images"

_SLOPE = -1.21
"""Of the logarithm of the published mean amplitude over that of the frequency."""
_MEAN = 0.4545
_CONTRAST = 0.188
_FIT_PIXELS = 1 << 22


def natural_spectrum(height: int, width: int) -> Tensor:
    """An amplitude spectrum like that of photographs, for images of any size.

    The amplitude falls as the frequency (in cycles a pixel) to the power -1.21, alike in all
    directions; scaled to an image of mean 0.4545 whose pixels have a standard deviation of 0.188.
    All three are those of the mean spectrum of the images of Geirhos et al. 2018.

    Returns:
        float64 [height, width // 2 + 1], as ``torch.fft.rfft2`` orders frequencies.
    """
    down = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    across = torch.fft.rfftfreq(width, dtype=torch.float64)
    frequency = torch.hypot(down, across)
    frequency[0, 0] = math.inf
    amplitude = frequency**_SLOPE
    # All columns but the first, and the last of an even width, stand for their mirror image too.
    energy = 2.0 * amplitude.square().sum() - amplitude[:, 0].square().sum()
    if width % 2 == 0:
        energy -= amplitude[:, -1].square().sum()
    amplitude *= height * width * _CONTRAST / energy.sqrt()
    amplitude[0, 0] = height * width * _MEAN
    return amplitude


def _fit(images: Tensor) -> Degradation:
    """Power equalisation to the mean amplitude spectrum of these images."""
    height, width = images.shape[-2:]
    total = torch.zeros(height, width // 2 + 1, dtype=torch.float64, device=images.device)
    for part in torch.split(images, max(1, _FIT_PIXELS // (height * width))):
        pixels = part / 255 if part.dtype == torch.uint8 else part
        total += torch.fft.rfft2(to_grey(pixels)).abs().sum(0, dtype=torch.float64)
    return replace(
        power_equalisation,
        function=_Fitted(total / len(images), (height, width)),
        unit=f"{_UNIT}: the mean of {len(images)} undistorted images of {height} x {width} pixels",
        fit=None,
    )


@partial(
    Degradation,
    name="power-equalisation",
    unit=f"{_UNIT}: to the power -1.21 of the frequency, at a mean of 0.4545 and an RMS contrast "
    "of 0.188, as that of the published images",
    levels=PUBLISHED["power-equalisation"].levels,
    references=PUBLISHED["power-equalisation"].references,
    neutral=0.0,
    smallest=8,
    fit=_fit,
)
def power_equalisation(planes: Tensor, level: float) -> Tensor:
    """The grey image with the amplitude spectrum that all images share; phases stay.

    The spectrum includes the mean, so that luminance is equalised too. The paper takes the mean
    amplitude (not power) of all images of its data set: ``power_equalisation.fitted(images)`` does
    the same. Without, it is `natural_spectrum`. The result is clipped to [0, 1].
    """
    spectrum = _natural(*planes.shape[-2:], planes.dtype, planes.device)
    return in_fixed_batches(partial(equalise, amplitude=spectrum), planes) if level else planes


@lru_cache(maxsize=8)
def _natural(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return natural_spectrum(height, width).to(device, dtype)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Power equalisation to one spectrum.

    Args:
        spectrum: float64 [H, W // 2 + 1].
        size: of the images, (H, W).
    """

    spectrum: Tensor
    size: tuple[int, int]

    def __call__(self, planes: Tensor, level: float) -> Tensor:
        """The grey image with the mean amplitude spectrum of the images that were fitted.

        Raises:
            InputError: images of another size.
        """
        height, width = planes.shape[-2:]
        if (height, width) != self.size:
            raise InputError(
                f"images are {height} x {width} pixels",
                where="degradation 'power-equalisation'",
                allowed=f"{self.size[0]} x {self.size[1]} pixels, as the images it was fitted to",
                hint="fit it to images of the same size",
            )
        spectrum = self.spectrum.to(planes)
        return in_fixed_batches(partial(equalise, amplitude=spectrum), planes) if level else planes


def equalise(planes: Tensor, amplitude: Tensor) -> Tensor:
    """Images with another amplitude spectrum and the phases of their own.

    A frequency that an image lacks, to the rounding of the transform, gets the phase zero.

    Args:
        planes: [N, H, W].
        amplitude: [H, W // 2 + 1], of the type of `planes`.

    Returns:
        [N, H, W] in [0, 1].
    """
    height, width = planes.shape[-2:]
    # The mean is left out of the transform, whose rounding errors grow with it.
    spectrum = torch.fft.rfft2(planes - 0.5)
    squares = torch.view_as_real(spectrum).square()
    power = squares[..., 0] + squares[..., 1]
    # amplitude / |F| rescales each frequency and keeps its phase, [N, H, W // 2 + 1].
    rounding = 16.0 * torch.finfo(planes.dtype).eps * math.sqrt(height * width)
    scale = power.clamp_min(rounding**2).rsqrt_().mul_(amplitude)
    spectrum *= scale
    if float(power.detach().amin()) <= rounding**2:
        missing = amplitude.to(spectrum.dtype)
        spectrum = torch.where(power <= rounding**2, missing, spectrum)
    # The mean of the image, which was subtracted before the transform.
    spectrum[:, 0, 0] = amplitude[0, 0]
    equalised: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    return equalised.clamp_(0.0, 1.0)
