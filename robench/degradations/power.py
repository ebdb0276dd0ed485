"""Power equalisation: every image with one amplitude spectrum (Geirhos et al. 2018, 1808.08750)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor

from robench.degradations.base import Degradation, Fit, to_grey
from robench.degradations.levels import PUBLISHED

__all__ = ["natural_spectrum", "power_equalisation"]

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


def _fit(images: Tensor) -> Fit:
    """The mean amplitude spectrum of the grey images."""
    height, width = images.shape[-2:]
    total = torch.zeros(height, width // 2 + 1, dtype=torch.float64, device=images.device)
    for part in images.split(max(1, _FIT_PIXELS // (height * width))):
        pixels = part / 255 if part.dtype == torch.uint8 else part
        total += torch.fft.rfft2(to_grey(pixels)).abs().sum(0, dtype=torch.float64)
    return Fit(
        _Fitted(total / len(images)),
        variants={"fitted": f"the mean of {len(images)} images of {height} x {width} pixels"},
        size=(height, width),
    )


@partial(
    Degradation,
    name="power-equalisation",
    unit="0: grey, 1: grey with the amplitude spectrum that all images are given",
    levels=PUBLISHED["power-equalisation"].levels,
    neutral=0.0,
    variants={
        "natural": "amplitudes fall with the frequency to the power -1.21, to a mean of 0.4545 and "
        "an RMS contrast of 0.188, as the mean of the published images does"
    },
    smallest=8,
    fit=_fit,
)
def power_equalisation(planes: Tensor, level: float, *, variant: str) -> Tensor:  # noqa: ARG001
    """The grey image with the amplitude spectrum that all images share; phases stay.

    The spectrum includes the mean, so that luminance is equalised too. The paper takes the mean
    amplitude (not power) of all images of its data set: ``power_equalisation.fitted(images)`` does
    the same. Without, it is `natural_spectrum`. The result is clipped to [0, 1].
    """
    spectrum = _natural(*planes.shape[-2:], planes.dtype, planes.device)
    return equalise(planes, spectrum) if level else planes


@lru_cache(maxsize=8)
def _natural(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return natural_spectrum(height, width).to(device, dtype)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Power equalisation to one spectrum.

    Args:
        spectrum: float64 [H, W // 2 + 1].
    """

    spectrum: Tensor

    def __call__(self, planes: Tensor, level: float, *, variant: str) -> Tensor:  # noqa: ARG002
        """The grey image with the mean amplitude spectrum of the images that were fitted."""
        return equalise(planes, self.spectrum.to(planes)) if level else planes


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
    power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
    rounding = 16.0 * torch.finfo(planes.dtype).eps * math.sqrt(height * width)
    scale = power.clamp_min(rounding**2).rsqrt_().mul_(amplitude)
    is_missing = power <= rounding**2
    spectrum *= scale
    if bool(is_missing.any()):
        spectrum = torch.where(is_missing, amplitude.to(spectrum.dtype), spectrum)
    spectrum[:, 0, 0] = amplitude[0, 0]
    return torch.fft.irfft2(spectrum, s=(height, width)).clamp_(0.0, 1.0)
