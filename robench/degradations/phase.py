"""Phase noise: the same frequencies at other places (Geirhos et al. 2018, arXiv 1808.08750)."""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from robench.degradations.base import Degradation, in_fixed_batches
from robench.degradations.levels import PUBLISHED
from robench.degradations.random import Noise
from robench.errors import InputError

__all__ = ["phase_noise"]

_RELEASED = "geirhos2018"


@partial(
    Degradation,
    name="phase-noise",
    unit="half the width of the noise on the phases, in degrees",
    levels=PUBLISHED["phase-noise"].levels,
    references=PUBLISHED["phase-noise"].references,
    neutral=0.0,
    bounds=(0.0, 180.0),
    variants={
        "hermitian": "frequencies and their conjugates are shifted in opposite directions, so that "
        "the amplitude spectrum stays as it is",
        _RELEASED: "as the released code, which pairs frequencies that are no conjugates and so "
        "loses contrast; numbers as after np.random.seed(seed + index)",
    },
    smallest=8,
)
def phase_noise(planes: Tensor, level: float, *, noise: Noise, variant: str) -> Tensor:
    """The phase of each frequency of the grey image shifted at random, up to `level` degrees.

    Shifts are uniform in [-level, level); the mean and the highest frequency of an axis with an
    even number of pixels keep their phase. The result is clipped to [0, 1]. The code of the paper
    gives the shifts of one half of the spectrum to the other half in the wrong order and drops the
    imaginary part that remains, which multiplies the contrast by sqrt((1 + sinc²(level)) / 2).

    Raises:
        InputError: the released code on images with an odd height or width, for which it was not
            made.
    """
    if variant == _RELEASED:
        return in_fixed_batches(
            partial(_turned_released, level=level), planes, _legacy(planes, noise)
        )
    height, width = planes.shape[-2:]
    numbers = noise.uniform(height, (width + 1) // 2)
    return in_fixed_batches(partial(_turned, level=level), planes, numbers)


def _turned(planes: Tensor, numbers: Tensor, *, level: float) -> Tensor:
    height, width = planes.shape[-2:]
    rows, columns = (height + 1) // 2, (width + 1) // 2  # without the highest frequency, if even
    # Phase shifts, uniform in [-level, level), for the half spectrum of rfft2, [N, H, columns].
    shift = (numbers * 2.0).sub_(1.0).mul_(math.radians(level)).to(planes.dtype)
    # A real image needs F(-u) = conj(F(u)). In column 0 both u and -u are stored: the lower rows
    # take the negative shift of the upper ones. The mean and the Nyquist row keep their phase.
    shift[:, 0, 0] = 0.0
    shift[:, rows : height - rows + 1] = 0.0
    shift[:, height - rows + 1 :, 0] = -shift[:, 1:rows, 0].flip(1)
    spectrum = torch.fft.rfft2(planes)
    # Multiply by exp(i * shift): the amplitude spectrum is unchanged.
    spectrum[..., :columns].mul_(torch.complex(shift.cos(), shift.sin()))
    turned: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    return turned.clamp_(0.0, 1.0)


def _legacy(planes: Tensor, noise: Noise) -> Tensor:
    """Half as many numbers as there are frequencies without the highest, float64 [N, numbers]."""
    height, width = planes.shape[-2:]
    if height % 2 or width % 2:
        raise InputError(
            f"images are {height} x {width} pixels",
            where=f"degradation 'phase-noise', variant {_RELEASED!r}",
            allowed="an even height and width, for which the released code was made",
            hint="leave variant out: the default takes any size",
        )
    half = (height - 1) * (width - 1) // 2
    drawn = [torch.from_numpy(random.random_sample(half)) for random in noise.legacy()]
    return torch.stack(drawn).to(planes.device)


def _turned_released(planes: Tensor, numbers: Tensor, *, level: float) -> Tensor:
    height, width = planes.shape[-2:]
    shift = (numbers - 0.5) * (2.0 * math.radians(level))
    both = torch.cat([shift, torch.zeros_like(shift[:, :1]), -shift], dim=1)
    centred = F.pad(both.view(-1, height - 1, width - 1), (1, 0, 1, 0))
    shift = torch.fft.ifftshift(centred, dim=(-2, -1)).to(planes.dtype)
    spectrum = torch.fft.fft2(planes) * torch.complex(shift.cos(), shift.sin())
    turned: Tensor = torch.fft.ifft2(spectrum).real
    return turned.clamp(0.0, 1.0)
