"""Power equalisation: every image ends up with the one spectrum, whosever that is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from robench.degradations import DEGRADATIONS_REGISTRY, degrade
from robench.degradations.base import to_grey
from robench.degradations.power import equalise, natural_spectrum, power_equalisation
from robench.errors import InputError

SIZES = [(32, 32), (31, 33), (8, 20)]


def whole(half: Tensor, width: int) -> np.ndarray:
    """All frequencies of an image of that spectrum, from the half that is stored."""
    impulse = torch.fft.irfft2(half.double(), s=(len(half), width))
    return np.abs(np.fft.fft2(impulse.numpy()))


def random_images(height: int, width: int, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.rand(count, 3, height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_amplitudes_become_those_given_and_phases_stay(size: tuple[int, int]) -> None:
    planes = to_grey(random_images(*size))
    # Small amplitudes around mid-grey, so that nothing is clipped.
    flat = torch.full((size[0], size[1] // 2 + 1), 0.02 * (size[0] * size[1]) ** 0.5).double()
    flat[0, 0] = 0.5 * size[0] * size[1]
    before, after = (np.fft.fft2(x.numpy()) for x in (planes, equalise(planes, flat)))
    for image in after:
        np.testing.assert_allclose(np.abs(image), whole(flat, size[1]), rtol=0, atol=1e-10)
    np.testing.assert_allclose(np.angle(after / before), 0, atol=1e-9)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_an_image_with_the_spectrum_stays_as_it_is(size: tuple[int, int]) -> None:
    planes = to_grey(random_images(*size, count=1))
    own = torch.fft.rfft2(planes[0]).abs()
    torch.testing.assert_close(equalise(planes, own), planes, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_fitted_is_the_mean_amplitude_of_the_grey_images(size: tuple[int, int]) -> None:
    images = random_images(*size, count=5)
    fitted = power_equalisation.fitted(images)
    grey = to_grey(images).numpy()
    mean = np.abs(np.fft.fft2(grey)).mean(0)
    for shown, plane in zip(fitted(images, 1.0), grey, strict=True):
        phases = np.angle(np.fft.fft2(plane))
        expected = np.fft.ifft2(mean * np.exp(1j * phases)).real.clip(0, 1)
        for channel in shown:
            np.testing.assert_allclose(channel, expected, rtol=0, atol=1e-12)


def test_fitting_takes_bytes_as_data_sets_hold_them_and_any_number_of_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes = torch.randint(0, 256, (7, 3, 16, 16), generator=torch.Generator().manual_seed(2))
    by_bytes = power_equalisation.fitted(codes.to(torch.uint8))
    monkeypatch.setattr("robench.degradations.power._FIT_PIXELS", 2 * 16 * 16)
    by_floats = power_equalisation.fitted(codes.double() / 255)
    images = random_images(16, 16)
    torch.testing.assert_close(by_bytes(images, 1.0), by_floats(images, 1.0), rtol=0, atol=1e-6)


def test_a_fitted_kind_says_so_and_is_used_like_any_other(images: Tensor) -> None:
    fitted = power_equalisation.fitted(images)
    assert "the mean of 7 undistorted images of 20 x 20 pixels" in fitted.convention()
    assert "published images" in power_equalisation.convention()
    assert fitted.fitted(images) is fitted
    assert (fitted.name, fitted.levels) == (power_equalisation.name, power_equalisation.levels)
    assert torch.equal(degrade(images, fitted, 1.0), fitted(images, 1.0))
    assert torch.equal(fitted(images, 0.0), degrade(images, "greyscale", 1.0))
    assert not torch.equal(fitted(images, 1.0), degrade(images, "power-equalisation", 1.0))


def test_kinds_without_anything_to_fit_stay_themselves(images: Tensor) -> None:
    contrast = DEGRADATIONS_REGISTRY.get("contrast")
    assert contrast.fitted(images) is contrast


def test_a_fitted_kind_is_for_images_of_one_size(images: Tensor) -> None:
    fitted = power_equalisation.fitted(images)
    with pytest.raises(InputError, match="20 x 21 pixels") as caught:
        fitted(torch.rand(1, 3, 20, 21), 1.0)
    assert caught.value.allowed == "20 x 20 pixels, as the images it was fitted to"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(2, 3, 16, 16) + 1, "images hold values from"),
        (torch.zeros(2, 4, 16, 16, dtype=torch.uint8), "images have 4 channels"),
        (torch.zeros(2, 3, 16, 7, dtype=torch.uint8), "images are 16 x 7 pixels"),
        (torch.zeros(0, 3, 16, 16, dtype=torch.uint8), "images have shape"),
    ],
)
def test_images_that_nothing_is_fitted_to(images: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        power_equalisation.fitted(images)
    assert caught.value.where == "fitting degradation 'power-equalisation'"


# -- without a data set ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [*SIZES, (224, 224)], ids=str)
def test_the_natural_spectrum_has_the_mean_contrast_and_slope_that_it_says(
    size: tuple[int, int],
) -> None:
    height, width = size
    amplitude = whole(natural_spectrum(height, width), width)
    assert amplitude[0, 0] / (height * width) == pytest.approx(0.4545)
    energy = (amplitude**2).sum() - amplitude[0, 0] ** 2
    assert energy**0.5 / (height * width) == pytest.approx(0.188)  # Parseval
    # One cycle and three of them, in a direction and in the other.
    assert amplitude[0, 3] / amplitude[0, 1] == pytest.approx(3**-1.21)
    assert amplitude[3, 0] / amplitude[1, 0] == pytest.approx(3**-1.21)


@pytest.mark.data
def test_the_natural_spectrum_is_like_the_published_one(data_root) -> None:
    file = data_root.parent / "reference" / "geirhos_constants.npz"
    if not file.is_file():
        pytest.skip(f"there is no {file}")
    published = np.fft.ifftshift(np.load(file)["mean_amplitude_fftshifted_224"])
    ours = whole(natural_spectrum(224, 224), 224)
    assert ours[0, 0] == pytest.approx(published[0, 0], rel=1e-3)
    ratio = np.log(ours / published).ravel()[1:]
    assert np.abs(ratio).mean() < 0.3
    energies = [(x**2).sum() - x[0, 0] ** 2 for x in (ours, published)]
    assert energies[0] == pytest.approx(energies[1], rel=0.01)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_blank_image_has_no_phases_to_keep(value: float) -> None:
    """Its transform is rounding errors, out of which no pattern must be made."""
    for size in (24, 31):
        blank = torch.full((1, 1, size, size), value)
        shown = degrade(blank, "power-equalisation", 1.0)
        expected = torch.fft.irfft2(natural_spectrum(size, size), s=(size, size)).clamp(0, 1)
        torch.testing.assert_close(shown[0, 0].double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_float32_and_float64_agree(size: tuple[int, int]) -> None:
    images = random_images(*size)
    wide = degrade(images, "power-equalisation", 1.0)
    narrow = degrade(images.float(), "power-equalisation", 1.0)
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=2e-6)
