"""Elastic transforms: affine maps in closed form, and the statistics of displacements."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from robench.degradations.corruptions.elastic import (
    affine_maps,
    displacements,
    elastic_transform,
)
from robench.degradations.corruptions.native import KINDS
from robench.degradations.random import Noise

CONSTANTS = KINDS["elastic-transform"].constants


def ramp(height: int, width: int) -> torch.Tensor:
    """An affine function of the place, which linear interpolation keeps exactly."""
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float64),
        torch.arange(width, dtype=torch.float64),
        indexing="ij",
    )
    return (0.3 + 0.004 * rows - 0.003 * columns)[None, None]


def noise(count: int = 1, key: int = 3) -> Noise:
    return Noise(key, torch.arange(count))


def test_three_points_go_where_they_are_sent() -> None:
    rng = np.random.default_rng(0)
    moves = rng.uniform(-2.5, 2.5, (5, 3, 2))
    maps = affine_maps(moves, 32, 24)
    corners = np.array([16, 12]) + 8 * np.array([[1, 1], [-1, 1], [-1, -1]])
    for own, moved in zip(maps, moves, strict=True):
        for corner, move in zip(corners, moved, strict=True):
            np.testing.assert_allclose(own[:, :2] @ (corner + move) + own[:, 2], corner, atol=1e-12)


def test_they_are_the_maps_of_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    moves = np.random.default_rng(1).uniform(-2.5, 2.5, (1, 3, 2))
    middle, third = np.float32([16, 16]), 10
    before = np.float32([middle + third, [16 - third, 16 + third], middle - third])
    forward = cv2.getAffineTransform(before, np.float32(before + moves[0]))
    own = affine_maps(moves, 32, 32)[0]
    np.testing.assert_allclose(cv2.invertAffineTransform(forward), own, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (28, 40)], ids=str)
def test_without_displacements_a_ramp_stays_a_ramp(size: tuple[int, int]) -> None:
    height, width = size
    image = ramp(height, width)
    got = elastic_transform(image, (0.0, 0.0, 0.08), noise())
    uniform = noise().uniform(6 + 2 * height * width).double().numpy() * 2 - 1
    moves = uniform[:, :6].reshape(1, 3, 2) * 0.08 * min(size)
    (own,) = affine_maps(moves, height, width)
    rows, columns = np.indices(size)
    down = own[0, 0] * rows + own[0, 1] * columns + own[0, 2]
    across = own[1, 0] * rows + own[1, 1] * columns + own[1, 2]
    inside = (down >= 0) & (down <= height - 1) & (across >= 0) & (across <= width - 1)
    assert inside.mean() > 0.7
    want = 0.3 + 0.004 * down - 0.003 * across
    np.testing.assert_allclose(got[0, 0].numpy()[inside], want[inside], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("alpha", "sigma", "_shift"), CONSTANTS[1:])
def test_displacements_are_smooth_noise_of_a_known_size(
    alpha: float, sigma: float, _shift: float
) -> None:
    """White noise of variance 1/3 under a kernel k has the variance of 1/3 times the sum of k²."""
    side = 96
    fields = np.random.default_rng(2).uniform(-1, 1, (8, 2, side, side))
    found = displacements(fields, 32 * alpha, 32 * sigma)
    reach = int(3 * 32 * sigma + 0.5)
    at = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (at / (32 * sigma)) ** 2)
    energy = ((kernel / kernel.sum()) ** 2).sum() ** 2
    inner = found[:, :, reach : side - reach, reach : side - reach]
    expected = 32 * alpha * math.sqrt(energy / 3)
    assert inner.std() == pytest.approx(expected, rel=0.15)
    assert abs(inner.mean()) < expected / 4


def test_the_published_code_on_the_same_noise() -> None:
    """skimage's filter, OpenCV's map and scipy's sampling, as imagecorruptions and its model do."""
    cv2 = pytest.importorskip("cv2")
    from scipy.ndimage import map_coordinates
    from skimage.filters import gaussian

    image = np.random.default_rng(3).random((32, 32))
    for shares in CONSTANTS:
        alpha, sigma, shift = (32 * share for share in shares)
        uniform = noise().uniform(6 + 2 * 32 * 32).double().numpy()[0] * 2 - 1
        corners = np.float32([[26, 26], [6, 26], [6, 6]])
        moved = corners + np.float32(uniform[:6].reshape(3, 2) * shift)
        # OpenCV has (x, y) where robench has (row, column): both ways of the image are turned.
        forward = cv2.getAffineTransform(corners, moved)
        want = cv2.warpAffine(image.T, forward, (32, 32), borderMode=cv2.BORDER_REFLECT_101).T
        if alpha:
            down, across = (
                gaussian(field, sigma, mode="reflect", truncate=3) * alpha
                for field in uniform[6:].reshape(2, 32, 32)
            )
            rows, columns = np.indices((32, 32))
            want = map_coordinates(want, (rows + down, columns + across), order=1, mode="reflect")
        got = elastic_transform(torch.from_numpy(image)[None, None], shares, noise())[0, 0]
        # OpenCV rounds places to 1/32 of a pixel.
        assert np.abs(got.numpy() - want).max() < 0.07
        assert np.abs(got.numpy() - want).mean() < 0.015


def test_channels_move_together_and_nothing_is_changed_in_place() -> None:
    image = torch.rand(2, 1, 17, 23, dtype=torch.float64)
    before = image.clone()
    colour = elastic_transform(image.repeat(1, 3, 1, 1), CONSTANTS[3], noise(2))
    grey = elastic_transform(image, CONSTANTS[3], noise(2))
    assert torch.equal(colour, grey.repeat(1, 3, 1, 1))
    assert torch.equal(image, before)
    assert not torch.equal(grey, image)
