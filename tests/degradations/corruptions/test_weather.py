"""Snow and frost: their formulas, and what is drawn for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robench.degradations.corruptions import corrupt
from robench.degradations.corruptions.native import KINDS
from robench.degradations.corruptions.weather import ICE, Snow, _flakes, frost, ice, snow
from robench.degradations.random import Noise

SNOW, FROST = KINDS["snow"].constants, KINDS["frost"].constants


def noise(count: int, key: int = 11) -> Noise:
    return Noise(key, torch.arange(count))


def drawn(count: int = 3, channels: int = 3, size: tuple[int, int] = (32, 32)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(count, channels, *size, generator=generator, dtype=torch.float64)


# -- frost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", FROST)
def test_frost_blends_the_image_with_ice(constant: tuple[float, float]) -> None:
    images = drawn()
    kept, added = constant
    expected = kept * images.numpy() + added * ice(images, noise(3)).numpy()
    np.testing.assert_allclose(frost(images, constant, noise(3)), expected, atol=1e-15)
    black, white = (torch.full_like(images, value) for value in (0.0, 1.0))
    apart = frost(white, constant, noise(3)) - frost(black, constant, noise(3))
    torch.testing.assert_close(apart, torch.full_like(apart, kept))


def test_ice_has_the_colours_and_the_contrast_of_the_photographs() -> None:
    """Means over windows; the figures stand in `ICE`, the measure of photographs is below."""
    pictures = ice(torch.zeros(2000, 3, 32, 32), noise(2000)).numpy()
    looks = np.array(ICE)
    np.testing.assert_allclose(pictures.mean((0, 2, 3)), looks[:, :3].mean(0), atol=0.02)
    grey = pictures.mean(1)
    assert grey.std((1, 2)).mean() == pytest.approx(looks[:, 3].mean(), rel=0.05)
    assert pictures.min() >= 0.0
    assert pictures.max() <= 1.0
    blue_less_red = pictures[:, 2] - pictures[:, 0]
    assert blue_less_red.mean() > 0.1  # ice is blue


def test_the_figures_are_those_of_the_photographs() -> None:
    cv2 = pytest.importorskip("cv2")
    package = pytest.importorskip("imagecorruptions")
    from pathlib import Path

    folder = Path(package.__file__).parent / "frost"
    names = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
    for name, look in zip(names, ICE, strict=True):
        photograph = cv2.resize(cv2.imread(str(folder / name))[..., ::-1], (0, 0), fx=0.2, fy=0.2)
        rng = np.random.default_rng(0)
        tops = rng.integers(0, photograph.shape[0] - 32, 200)
        lefts = rng.integers(0, photograph.shape[1] - 32, 200)
        windows = np.stack(
            [
                photograph[top : top + 32, left : left + 32] / 255
                for top, left in zip(tops, lefts, strict=True)
            ]
        )
        np.testing.assert_allclose(windows.mean((0, 1, 2)), look[:3], atol=0.015)
        grey = windows.mean(3)
        assert grey.std((1, 2)).mean() == pytest.approx(look.deviation, abs=0.006)
        assert grey.mean((1, 2)).std() == pytest.approx(look.between, abs=0.008)


def spectral_slope(planes: np.ndarray) -> float:
    """Power of the frequency as which the amplitude falls."""
    side = planes.shape[-1]
    window = np.hanning(side)
    planes = (planes - planes.mean((1, 2), keepdims=True)) * window * window[:, None]
    amplitude = np.abs(np.fft.fft2(planes)).mean(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    band = (frequency > 2 / side) & (frequency < 0.45)
    return float(np.polyfit(np.log(frequency[band]), np.log(amplitude[band]), 1)[0])


def test_the_spectrum_of_ice_falls_as_that_of_the_photographs() -> None:
    planes = ice(torch.zeros(300, 1, 32, 32), noise(300))[:, 0].numpy()
    assert -0.6 < spectral_slope(planes) < -0.2


def test_grey_ice_is_the_grey_of_coloured_ice() -> None:
    weights = np.array([0.299, 0.587, 0.114])
    coloured = ice(torch.zeros(5, 3, 20, 28), noise(5)).numpy()
    grey = ice(torch.zeros(5, 1, 20, 28), noise(5)).numpy()[:, 0]
    inside = ((coloured > 0) & (coloured < 1)).all(1)
    assert inside.mean() > 0.8
    np.testing.assert_allclose(np.einsum("nchw,c->nhw", coloured, weights)[inside], grey[inside])


# -- snow ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", SNOW)
def test_snow_is_a_brighter_image_and_flakes_both_ways_up(constant: Snow) -> None:
    images = drawn(size=(24, 32))
    grey = np.einsum("nchw,c->nhw", images.numpy(), [0.299, 0.587, 0.114])[:, None]
    brighter = np.maximum(images.numpy(), 1.5 * grey + 0.5)
    flakes = _flakes(images, constant, noise(3)).numpy()
    both = flakes + flakes[:, :, ::-1, ::-1]
    expected = constant.kept * images.numpy() + (1 - constant.kept) * brighter + both
    np.testing.assert_allclose(snow(images, constant, noise(3)), expected, atol=1e-12)


def test_flakes_are_the_largest_of_normal_numbers() -> None:
    """Not enlarged nor blurred: as many as the distribution has above the threshold."""
    from scipy import stats

    constant = Snow(0.1, 0.3, 1.0, 0.5, 0.0, 1.0, 0.9)
    flakes = _flakes(torch.zeros(40, 1, 32, 32), constant, noise(40)).numpy()
    share = stats.norm(0.1, 0.3).sf(0.5)
    assert (flakes > 0).mean() == pytest.approx(share, rel=0.05)
    assert flakes[flakes > 0].min() >= 127 / 255  # cut to whole grey values
    assert flakes.max() <= 1.0


def test_flakes_fall() -> None:
    """Along the vertical, more or less: the blur is longer down than across."""
    constant = Snow(0.1, 0.3, 1.0, 0.6, 12.0, 6.0, 0.9)
    flakes = _flakes(torch.zeros(60, 1, 32, 32), constant, noise(60)).numpy()[:, 0]
    flakes = flakes - flakes.mean()
    down = (flakes[:, 3:] * flakes[:, :-3]).mean()
    across = (flakes[:, :, 3:] * flakes[:, :, :-3]).mean()
    assert down > 2 * across


def test_grey_images_have_the_snow_of_grey_colours() -> None:
    grey = drawn(channels=1)
    coloured = snow(grey.repeat(1, 3, 1, 1), SNOW[2], noise(3))
    torch.testing.assert_close(coloured, snow(grey, SNOW[2], noise(3)).repeat(1, 3, 1, 1))


@pytest.mark.parametrize("kind", ["snow", "frost", "motion-blur", "elastic-transform"])
def test_severities_take_more_and_more_of_the_image(kind: str) -> None:
    coarse = torch.rand(40, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.interpolate(coarse, (32, 32), mode="bicubic").clamp(0, 1)
    distances = [
        float((corrupt(images, kind, severity, constants="cifar-10-c") - images).square().mean())
        for severity in (1, 5)
    ]
    if kind == "elastic-transform":  # its affine part is smaller at higher severities
        assert min(distances) > 1e-4
        return
    assert distances[1] > 1.3 * distances[0]
