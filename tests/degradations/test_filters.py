from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from robench.degradations import DEGRADATIONS, degrade
from robench.degradations.base import to_grey
from robench.degradations.filters import gaussian_filter

BORDER = 0.4423
SIZES = [(224, 224), (256, 256), (64, 64), (32, 32), (28, 28), (8, 8), (33, 47), (65, 9)]
SIGMAS = [0.1, 0.4, 0.43, 0.55, 1.0, 1.5, 3.0, 7.3, 15.0, 40.0]


def random_images(height: int, width: int, count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.rand(count, 1, height, width, generator=generator, dtype=torch.float64)


def by_scipy(plane: Tensor, sigma: float) -> npt.NDArray[np.float64]:
    blurred = ndimage.gaussian_filter(
        plane.numpy(), sigma, mode="constant", cval=BORDER, truncate=4.0
    )
    return np.asarray(blurred)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_gaussian_filter_against_scipy(size: tuple[int, int]) -> None:
    planes = random_images(*size, count=2)[:, 0]
    for sigma in SIGMAS:
        for plane, double, single in zip(
            planes,
            gaussian_filter(planes, sigma),
            gaussian_filter(planes.float(), sigma),
            strict=True,
        ):
            expected = by_scipy(plane, sigma)
            np.testing.assert_allclose(double, expected, rtol=0, atol=1e-14)
            np.testing.assert_allclose(single, expected, rtol=0, atol=4e-7)


def test_gaussian_filter_of_a_point_is_the_kernel() -> None:
    size, sigma, radius = 41, 2.0, 8
    plane = torch.full((1, size, size), BORDER, dtype=torch.float64)
    plane[0, 20, 20] += 0.1
    offset = np.arange(size) - 20.0
    kernel = np.exp(-(offset**2) / (2 * sigma**2)) * (abs(offset) <= radius)
    kernel /= kernel.sum()
    expected = BORDER + 0.1 * np.outer(kernel, kernel)
    np.testing.assert_allclose(gaussian_filter(plane, sigma)[0], expected, rtol=0, atol=1e-15)


def test_gaussian_filter_mixes_the_border_in_each_pass() -> None:
    # White 9 x 9 with a kernel of radius 4: a corner keeps (half + centre / 2)² of its excess.
    plane = torch.ones(1, 9, 9, dtype=torch.float64)
    weights = np.exp(-(np.arange(-4, 5) ** 2) / 2.0)
    inside = weights[4:].sum() / weights.sum()
    corner = float(gaussian_filter(plane, 1.0)[0, 0, 0])
    assert corner == pytest.approx(BORDER + (1 - BORDER) * inside**2, abs=1e-15)


@pytest.mark.parametrize("size", [(9, 9), (33, 17), (225, 223)], ids=str)
def test_the_last_bit_does_not_depend_on_the_place_in_the_batch(size: tuple[int, int]) -> None:
    # Rows of such sizes begin at other alignments in every image of a batch.
    planes = random_images(*size, count=9)[:, 0].float()
    for sigma in (0.43, 3.0, 40.0):
        alone = torch.cat([gaussian_filter(plane, sigma) for plane in planes.split(1)])
        assert torch.equal(gaussian_filter(planes, sigma), alone)


def test_gaussian_filter_passes_gradients() -> None:
    planes = random_images(9, 10)[:, 0].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gaussian_filter(x, 1.3), planes)


@pytest.mark.parametrize("level", DEGRADATIONS["low-pass"])
@pytest.mark.parametrize("size", [(224, 224), (32, 48)], ids=str)
def test_low_pass_is_scaled_by_the_shorter_side(size: tuple[int, int], level: float) -> None:
    images = random_images(*size)
    sigma = level * min(size) / 224
    expected = by_scipy(images[0, 0], sigma) if sigma else images[0, 0].numpy()
    np.testing.assert_allclose(degrade(images, "low-pass", level)[0, 0], expected, atol=1e-14)
    in_pixels = degrade(images, "low-pass", sigma, variant="pixels")
    assert torch.equal(in_pixels, degrade(images, "low-pass", level))


@pytest.mark.parametrize("level", DEGRADATIONS["high-pass"])
@pytest.mark.parametrize("size", [(224, 224), (28, 40)], ids=str)
def test_high_pass_formula(size: tuple[int, int], level: float) -> None:
    images = random_images(*size, count=2)
    for got, image in zip(degrade(images, "high-pass", level), images, strict=True):
        plane = image[0].numpy()
        if math.isinf(level):
            expected = plane
        else:
            detail = plane - by_scipy(image[0], level)
            expected = np.clip(detail - detail.mean() + BORDER, 0, 1)
        np.testing.assert_allclose(got[0], expected, rtol=0, atol=1e-14)


def test_high_pass_scaled_counts_pixels_of_224() -> None:
    images = random_images(64, 64)
    scaled = degrade(images, "high-pass", 7.0, variant="scaled")
    assert torch.equal(scaled, degrade(images, "high-pass", 2.0))


def test_levels_without_effect_and_without_end(images: Tensor) -> None:
    grey = to_grey(images).unsqueeze(1).expand_as(images)
    assert torch.equal(degrade(images, "low-pass", 0), grey)
    assert torch.equal(degrade(images, "high-pass", math.inf), grey)
    blank = torch.full_like(images, BORDER)
    # A kernel narrower than a pixel keeps everything low, so that nothing high is left.
    for level in (0.0, 1e-300, 0.1):
        torch.testing.assert_close(degrade(images, "high-pass", level), blank, rtol=0, atol=1e-7)
    # A kernel wider than any image sees nothing but its border.
    torch.testing.assert_close(
        degrade(images, "low-pass", 1000.0, variant="pixels"), blank, rtol=0, atol=1e-4
    )


def test_high_pass_has_the_mean_of_the_border_where_nothing_is_clipped() -> None:
    images = 0.45 + 0.1 * random_images(32, 32, count=3)
    means = degrade(images, "high-pass", 3.0).mean((1, 2, 3))
    torch.testing.assert_close(means, torch.full_like(means, BORDER), rtol=0, atol=1e-15)
