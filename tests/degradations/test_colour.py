from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from robench.degradations import DEGRADATIONS, degrade
from robench.degradations.base import to_grey

WEIGHTS = np.array([0.2125, 0.7154, 0.0721])


def test_grey_is_the_weighted_sum_in_every_channel(images: Tensor) -> None:
    expected = np.einsum("nchw,c->nhw", images.double().numpy(), WEIGHTS)
    got = degrade(images, "greyscale", 1)
    for channel in got.unbind(1):
        np.testing.assert_allclose(channel, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_black_and_white_stay_exact(dtype: torch.dtype) -> None:
    ends = torch.tensor([0.0, 1.0], dtype=dtype).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert torch.equal(to_grey(ends), ends[:, 0])


def test_greys_stay_themselves_to_rounding() -> None:
    greys = (torch.arange(256) / 255).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    torch.testing.assert_close(degrade(greys, "greyscale", 1), greys, rtol=0, atol=6e-8)


def test_greyscale_at_level_0_and_of_one_channel_is_the_identity(images: Tensor) -> None:
    assert torch.equal(degrade(images, "greyscale", 0), images)
    assert torch.equal(degrade(images[:, :1], "greyscale", 1), images[:, :1])


@pytest.mark.parametrize("level", [*DEGRADATIONS["contrast"], 0.0, 0.737])
def test_contrast_formula(images: Tensor, level: float) -> None:
    grey = np.einsum("nchw,c->nhw", images.double().numpy(), WEIGHTS)
    expected = 0.5 + level * (grey - 0.5)
    for channel in degrade(images, "contrast", level).unbind(1):
        np.testing.assert_allclose(channel, expected, rtol=0, atol=1e-7)


def test_contrast_goes_to_mid_grey_and_not_to_the_mean(images: Tensor) -> None:
    dark = images / 10
    assert torch.equal(degrade(dark, "contrast", 0), torch.full_like(dark, 0.5))
    assert torch.equal(degrade(dark, "contrast", 1), degrade(dark, "greyscale", 1))
