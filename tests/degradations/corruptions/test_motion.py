"""Blur by motion: its kernel, its direction, and imagecorruptions on the same angle."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from robench.degradations.corruptions.motion import blurred_along, motion_blur, motion_kernel
from robench.degradations.corruptions.native import KINDS
from robench.degradations.random import Noise

MOTION = KINDS["motion-blur"].constants


def dot(height: int = 41, width: int = 41) -> torch.Tensor:
    image = torch.zeros(1, 1, height, width, dtype=torch.float64)
    image[0, 0, height // 2, width // 2] = 1.0
    return image


def angles(*degrees: float) -> torch.Tensor:
    return torch.tensor(degrees, dtype=torch.float64)


@pytest.mark.parametrize(("radius", "sigma"), MOTION)
def test_the_kernel_is_one_half_of_a_gaussian_and_sums_to_one(radius: float, sigma: float) -> None:
    kernel = motion_kernel(radius, sigma)
    assert len(kernel) == 2 * radius + 1
    assert float(kernel.sum()) == pytest.approx(1)
    ratio = kernel[1:4] / kernel[:3]
    expected = [math.exp(-(2 * at + 1) / (2 * sigma**2)) for at in range(3)]
    np.testing.assert_allclose(ratio, expected, rtol=1e-12)


@pytest.mark.parametrize("degrees", [0, 30, 45, -45, -20, 90, -90, -120])
def test_it_blurs_along_its_angle(degrees: float) -> None:
    blurred = blurred_along(dot(), 8.0, 6.0, angles(degrees))[0, 0]
    assert float(blurred.sum()) == pytest.approx(1)
    rows, columns = (torch.arange(41, dtype=torch.float64) - 20 for _ in range(2))
    down = float((blurred.sum(1) * rows).sum())
    across = float((blurred.sum(0) * columns).sum())
    # A pixel looks ahead, so that what it sees is drawn out behind: away from the angle.
    length = float((motion_kernel(8.0, 6.0) * torch.arange(17)).sum())
    assert down == pytest.approx(-length * math.sin(math.radians(degrees)), abs=0.35)
    assert across == pytest.approx(-length * math.cos(math.radians(degrees)), abs=0.35)
    # All of it lies within rounding of one line.
    found = blurred.nonzero().double() - 20
    beside = found[:, 0] * math.cos(math.radians(degrees)) - found[:, 1] * math.sin(
        math.radians(degrees)
    )
    assert beside.abs().max() <= math.sqrt(0.5) + 1e-9


def test_beyond_the_border_the_last_pixel_is_repeated() -> None:
    images = torch.rand(2, 3, 8, 11, dtype=torch.float64)
    images[:, :, :, -1] = 0.25
    blurred = blurred_along(images, 9.0, 2.5, angles(0.0, 0.0))
    torch.testing.assert_close(blurred[:, :, :, -1], images[:, :, :, -1])
    flat = torch.full((2, 3, 8, 11), 0.3, dtype=torch.float64)
    torch.testing.assert_close(blurred_along(flat, 9.0, 2.5, angles(13.0, -80.0)), flat)


@pytest.mark.parametrize("degrees", [-45.0, -17.3, 0.0, 8.0, 44.0, -120.0, -60.5])
@pytest.mark.parametrize("size", [(32, 32), (28, 40)], ids=str)
def test_the_same_pixels_as_imagecorruptions(size: tuple[int, int], degrees: float) -> None:
    library = pytest.importorskip("imagecorruptions.corruptions")
    image = np.random.default_rng(1).random(size).astype(np.float32)
    for radius, sigma in MOTION:
        want = library._motion_blur(image, radius=int(radius), sigma=sigma, angle=degrees)
        ours = torch.from_numpy(image).double()[None, None]
        got = blurred_along(ours, radius, sigma, angles(degrees))[0, 0]
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-6)


def test_each_image_has_an_angle_of_its_own_up_to_45_degrees() -> None:
    images = dot().expand(400, -1, -1, -1)
    blurred = motion_blur(images, (9.0, 2.5), Noise(5, torch.arange(400)))[:, 0]
    at = torch.arange(41, dtype=torch.float64) - 20
    down = -(blurred.sum(2) * at).sum(1)
    across = -(blurred.sum(1) * at).sum(1)
    found = torch.rad2deg(torch.atan2(down, across))
    assert found.abs().max() < 52  # rounding to pixels
    # Uniform: a quarter of them in each quarter of the range.
    counts = torch.histc(found, bins=4, min=-45, max=45)
    assert (counts - 100).abs().max() < 45
    one = motion_blur(images[:1], (9.0, 2.5), Noise(5, torch.tensor([17])))
    assert torch.equal(one[0, 0], blurred[17])
