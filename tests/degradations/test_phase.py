"""Phase noise: what it moves, what it leaves, and what the released code did to the contrast."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from robench.degradations import DEGRADATIONS, degrade
from robench.errors import InputError

LEVELS = DEGRADATIONS["phase-noise"]
SIZES = [(16, 16), (15, 17), (8, 13), (17, 12)]


def faint(height: int, width: int, count: int = 4) -> Tensor:
    """Images around mid-grey whose phases can be turned without any pixel being clipped."""
    generator = torch.Generator().manual_seed(height)
    noise = torch.randn(count, 1, height, width, generator=generator, dtype=torch.float64)
    return 0.5 + 0.03 * noise


def phase_shifts(image: Tensor, level: float) -> np.ndarray:
    """By how much each frequency of each image was turned, in degrees."""
    turned = degrade(image, "phase-noise", level)
    ratio = np.fft.fft2(turned.numpy()) / np.fft.fft2(image.numpy())
    return np.degrees(np.angle(ratio))[:, 0]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_amplitude_spectrum_stays(size: tuple[int, int], level: float) -> None:
    images = faint(*size)
    turned = degrade(images, "phase-noise", level)
    before, after = (np.abs(np.fft.fft2(x.numpy())) for x in (images, turned))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-12 * before.max())
    assert (float((turned - images).abs().max()) > 1e-3) == (level > 0)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_all_frequencies_move_but_the_mean_and_the_highest(size: tuple[int, int]) -> None:
    shifts = phase_shifts(faint(*size), 60.0)
    fixed = np.zeros(size, dtype=bool)
    fixed[0, 0] = True
    if size[0] % 2 == 0:
        fixed[size[0] // 2] = True
    if size[1] % 2 == 0:
        fixed[:, size[1] // 2] = True
    assert np.abs(shifts[:, fixed]).max() < 1e-8
    assert np.abs(shifts[:, ~fixed]).min() > 0
    # Conjugates move in opposite directions.
    mirrored = np.roll(shifts[:, ::-1, ::-1], 1, axis=(1, 2))
    np.testing.assert_allclose(shifts, -mirrored, rtol=0, atol=1e-8)


@pytest.mark.parametrize("level", [30.0, 90.0, 180.0])
def test_shifts_are_uniform_up_to_the_level(level: float) -> None:
    from scipy import stats

    shifts = phase_shifts(faint(24, 24, count=20), level)[:, 1:12, 1:12].ravel()
    assert np.abs(shifts).max() <= level + 1e-6
    assert stats.kstest(shifts, stats.uniform(-level, 2 * level).cdf).pvalue > 1e-3


def test_frequencies_and_images_have_shifts_of_their_own() -> None:
    shifts = phase_shifts(faint(16, 16), 90.0)[:, :, 1:8]
    assert len(np.unique(shifts.round(6))) > 0.99 * shifts[:, np.r_[:8, 9:16]].size


def test_level_0_is_the_grey_image(images: Tensor) -> None:
    grey = degrade(images, "greyscale", 1.0)
    torch.testing.assert_close(degrade(images, "phase-noise", 0.0), grey, rtol=0, atol=1e-6)


@pytest.mark.parametrize("level", LEVELS)
def test_float32_and_float64_agree(images: Tensor, level: float) -> None:
    wide = degrade(images.double(), "phase-noise", level)
    narrow = degrade(images, "phase-noise", level)
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=1e-6)


@pytest.mark.parametrize("level", [60.0, 120.0, 180.0])
def test_the_released_code_loses_contrast_and_the_default_none(level: float) -> None:
    images = faint(32, 32, count=30)
    sinc = math.sin(math.radians(level)) / math.radians(level)
    unturned = 63 / 1023  # the highest frequencies of either axis
    for variant, expected in (
        ("geirhos2018", math.sqrt(unturned + (1 - unturned) * (1 + sinc**2) / 2)),
        ("hermitian", 1.0),
    ):
        shown = degrade(images, "phase-noise", level, variant=variant)
        ratio = float(shown.std((1, 2, 3)).mean() / images.std((1, 2, 3)).mean())
        assert ratio == pytest.approx(expected, abs=0.01)


def test_the_released_code_starts_from_seed_plus_index(images: Tensor) -> None:
    alike = [
        degrade(images[:1], "phase-noise", 90.0, seed=seed, index=[index], variant="geirhos2018")
        for seed, index in ((5, 0), (0, 5), (2**32 + 3, 2))
    ]
    assert torch.equal(alike[0], alike[1])
    assert torch.equal(alike[0], alike[2])
    other = degrade(images[:1], "phase-noise", 90.0, seed=6, index=[0], variant="geirhos2018")
    assert not torch.equal(alike[0], other)


@pytest.mark.parametrize("size", [(9, 8), (8, 9)], ids=str)
def test_the_released_code_is_for_even_sizes(size: tuple[int, int]) -> None:
    odd = torch.rand(1, 1, *size)
    with pytest.raises(InputError, match=f"{size[0]} x {size[1]} pixels") as caught:
        degrade(odd, "phase-noise", 30.0, variant="geirhos2018")
    assert "even" in str(caught.value.allowed)
    assert degrade(odd, "phase-noise", 30.0).shape == odd.shape
