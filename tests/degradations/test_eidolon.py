"""Eidolons: layers, noise and displacement, each against the description in plain NumPy."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from robench.degradations import DEGRADATIONS_REGISTRY, degrade
from robench.degradations.eidolon import _Layers, _moved, _shifts, _Smooth, eidolon
from robench.degradations.random import Noise

KINDS = ("eidolon-1", "eidolon-2", "eidolon-3")
SIZES = [(64, 64), (32, 32), (28, 20), (33, 33)]
Plane = npt.NDArray[np.float64]


def random_planes(height: int, width: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.rand(count, height, width, generator=generator, dtype=torch.float64)


def smooth(plane: Plane, sigma: float) -> Plane:
    """The image, continued as in a mirror, under a circular convolution in two dimensions."""
    height, width = plane.shape
    mirrored = np.block([[plane, plane[:, ::-1]], [plane[::-1], plane[::-1, ::-1]]])
    along = [np.fft.fftfreq(2 * length, 1 / (2 * length)) for length in (height, width)]
    kernel = np.outer(
        *(np.exp(-(t**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma) for t in along)
    )
    smoothed = np.fft.ifft2(np.fft.fft2(mirrored) * np.fft.fft2(kernel)).real
    return smoothed[:height, :width]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_layers_are_differences_of_blurs(size: tuple[int, int]) -> None:
    planes = random_planes(*size)
    layers = _Layers.of(planes)
    count = math.ceil(2 * math.log2(max(size) / 4))
    assert layers.smoothing == pytest.approx([2 ** ((k - 1) / 2) for k in range(count)])
    waves = layers.waves(planes)
    for number, sigma in enumerate(layers.smoothing):
        got = layers.layer(waves, number)
        for plane, layer in zip(planes.numpy(), got, strict=True):
            expected = smooth(plane, sigma)
            if number + 1 < count:
                expected = expected - smooth(plane, layers.smoothing[number + 1])
            # The coarsest kernel is cut where the continuation repeats, which leaves traces of high
            # frequencies in it; they are not followed.
            np.testing.assert_allclose(layer, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_without_reach_an_eidolon_is_the_finest_blur(size: tuple[int, int]) -> None:
    planes = random_planes(*size)
    expected = np.stack([smooth(plane, math.sqrt(0.5)) for plane in planes.numpy()])
    for kind in KINDS:
        shown = degrade(planes[:, None], kind, 0.0)[:, 0]
        np.testing.assert_allclose(shown, expected.clip(0, 1), rtol=0, atol=1e-7)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels_come_from_where_the_shift_points_to(size: tuple[int, int]) -> None:
    height, width = size
    planes = random_planes(*size)
    shift = 30 * torch.randn(2, 2, height, width, generator=torch.Generator().manual_seed(1))
    padded = np.pad(
        planes.numpy(),
        ((0, 0), (height // 2, height // 2), (width // 2, width // 2)),
        mode="symmetric",
    )
    for number, got in enumerate(_moved(planes, shift)):
        down, across = shift[number].numpy()
        rows = np.arange(height, dtype=np.float32)[:, None] + height // 2 + down
        columns = np.arange(width, dtype=np.float32) + width // 2 + across
        rows = rows.clip(0, padded.shape[1] - 1).astype(int)
        columns = columns.clip(0, padded.shape[2] - 1).astype(int)
        np.testing.assert_array_equal(got, padded[number][rows, columns])


# -- the noise ------------------------------------------------------------------------------------


def shifts(size: int, coherence: float, count: int = 200) -> dict[int, Tensor]:
    """By layer, how the pixels of many images move at reach 1."""
    like = torch.empty(count, size, size)
    smoothing = _Layers.of(like).smoothing
    noise = Noise(7, torch.arange(count))
    return dict(_shifts(smoothing, coherence, 10 * size / 256, noise, like))


def spread(moves: Tensor) -> float:
    return float(moves.double().square().mean().sqrt())


@pytest.mark.parametrize("size", [32, 64])
def test_coherent_shifts_add_a_plane_with_each_finer_layer(size: int) -> None:
    """Each plane has the standard deviation 27 / 64 / sqrt(4 pi), 0.12 pixels."""
    found = shifts(size, 1.0)
    plane = 27 / 64 / math.sqrt(4 * math.pi)
    assert plane == pytest.approx(0.119, abs=5e-4)
    for number, moves in found.items():
        assert spread(moves) == pytest.approx(plane * math.sqrt(len(found) - number), rel=0.08)
    # What a finer layer adds does not depend on what it is added to.
    added = (found[0] - found[1]).flatten().double()
    together = float(torch.corrcoef(torch.stack([added, found[1].flatten().double()]))[0, 1])
    assert abs(together) < 0.03


@pytest.mark.parametrize("size", [32, 64])
def test_incoherent_shifts_are_as_strong_for_every_layer_and_independent(size: int) -> None:
    found = shifts(size, 0.0)
    for moves in found.values():
        assert spread(moves) == pytest.approx(0.755, rel=0.03)
    one, two = found[0].flatten().double(), found[1].flatten().double()
    assert abs(float(torch.corrcoef(torch.stack([one, two]))[0, 1])) < 0.03


def test_coherence_mixes_the_two() -> None:
    mixed = shifts(64, 0.3)
    expected = math.hypot(0.7 * 0.755, 0.3 * 0.119 * math.sqrt(len(mixed)))
    assert spread(mixed[0]) == pytest.approx(expected, rel=0.03)


def test_the_axes_move_independently() -> None:
    moves = shifts(32, 0.0)[0]
    down, across = (moves[:, axis].flatten().double() for axis in (0, 1))
    assert abs(float(torch.corrcoef(torch.stack([down, across]))[0, 1])) < 0.03


@pytest.mark.parametrize("sigma", [0.7071, 1.0, 2.0, 2.83, 5.66, 10.0])
def test_noise_on_a_coarse_grid_is_as_smooth_as_noise_in_every_pixel(sigma: float) -> None:
    """Covariance of two pixels: that of white noise, convolved twice by the kernel."""
    spread_out = _Smooth.of(64, 64, sigma, torch.device("cpu")).down[:64].double()
    covariance = spread_out @ spread_out.T
    place = np.arange(-200, 265)
    kernel = np.exp(-((np.arange(64)[:, None] - place) ** 2) / (2 * sigma**2))
    kernel /= math.sqrt(2 * math.pi) * sigma
    expected = kernel @ kernel.T
    np.testing.assert_allclose(covariance, expected, rtol=0, atol=5e-4 * expected.max())


@pytest.mark.parametrize("kind", KINDS)
def test_displacement_shrinks_with_the_image(kind: str) -> None:
    """The same picture at a quarter of the size is distorted alike: a disc keeps its outline."""

    def overlap(size: int) -> float:
        place = (torch.arange(size) + 0.5) / size - 0.5
        disc = (place[:, None].hypot(place) < 0.3).float()
        images = disc.expand(30, 1, size, size)
        shown = degrade(images, kind, 64.0)
        return float((shown[:, 0] - disc).abs().mean())

    assert overlap(32) == pytest.approx(overlap(128), rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_further_the_reach_the_less_is_left(kind: str) -> None:
    images = random_planes(64, 64, count=4)[:, None]
    images = torch.nn.functional.avg_pool2d(images, 9, stride=1, padding=4)
    levels = DEGRADATIONS_REGISTRY.get(kind).levels[::2]
    errors = [float((degrade(images, kind, level) - images).square().mean()) for level in levels]
    assert errors == sorted(errors)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_and_float64_images_move_alike(kind: str) -> None:
    images = random_planes(48, 32)[:, None]
    wide = degrade(images, kind, 32.0)
    torch.testing.assert_close(
        degrade(images.float(), kind, 32.0).double(), wide, rtol=0, atol=2e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_seed_index_and_level_each_change_the_noise(kind: str) -> None:
    image = random_planes(32, 32, count=1)[:, None]
    first = degrade(image, kind, 16.0, seed=0, index=[0])
    for other in (
        degrade(image, kind, 16.0, seed=1, index=[0]),
        degrade(image, kind, 16.0, seed=0, index=[1]),
        degrade(image, kind, 16.001, seed=0, index=[0]),
    ):
        assert float((first != other).double().mean()) > 0.5


def test_coherence_in_between_is_taken_too() -> None:
    image = random_planes(32, 32, count=1)[:, None]
    noise = Noise(3, torch.arange(1))
    shown = eidolon(image, 8.0, coherence=0.5, noise=noise)
    assert shown.shape == image.shape
