"""Robench's own corruptions: against imagecorruptions, scikit-image and the definition of noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from skimage import color

from robench.degradations.corruptions import corrupt
from robench.degradations.corruptions.motion import zoom_blur
from robench.degradations.corruptions.native import KINDS, _cut
from robench.degradations.random import Noise

# ImageNet-C's constants, for which imagecorruptions is an independent implementation.
IMAGENET_C = {
    "gaussian-blur": (1.0, 2.0, 3.0, 4.0, 6.0),
    "defocus-blur": ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5)),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "saturate": ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2)),
    "jpeg-compression": (25, 18, 15, 10, 7),
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),
}


def photograph(width: int = 48, height: int = 40) -> np.ndarray:
    from PIL import Image
    from sklearn.datasets import load_sample_image

    return np.asarray(Image.fromarray(load_sample_image("china.jpg")).resize((width, height)))


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double() / 255


@pytest.mark.parametrize("kind", IMAGENET_C)
def test_without_noise_the_same_pixels_as_imagecorruptions(kind: str) -> None:
    library = pytest.importorskip("imagecorruptions")
    # It enlarges to the nearest pixel, which is the mean over a box where no pixel is torn in two.
    image = photograph(64, 64) if kind == "pixelate" else photograph()
    for severity, constant in enumerate(IMAGENET_C[kind], start=1):
        want = library.corrupt(image, severity, kind.replace("-", "_"))
        got = _cut(KINDS[kind].function(tensor(image), constant)) * 255
        apart = np.abs(got[0].permute(1, 2, 0).numpy().round() - want)
        # A value that is whole but for rounding may be cut to either side.
        assert apart.max() <= 1
        assert apart.mean() < 0.25


def test_saturation_is_that_of_scikit_image() -> None:
    image = photograph() / 255
    for factor, more in KINDS["saturate"].constants:
        hsv = color.rgb2hsv(image)
        hsv[..., 1] = np.clip(hsv[..., 1] * factor + more, 0, 1)
        got = KINDS["saturate"].function(tensor(photograph()), (factor, more))
        np.testing.assert_allclose(got[0].permute(1, 2, 0), color.hsv2rgb(hsv), rtol=0, atol=1e-12)


def test_black_and_grey_pixels() -> None:
    black = torch.zeros(1, 3, 16, 16, dtype=torch.float64)
    assert (KINDS["brightness"].function(black, 0.25) == 0.25).all()
    grey = torch.full_like(black, 0.5)
    red = KINDS["saturate"].function(grey, (1.0, 0.2))
    torch.testing.assert_close(red[0, :, 0, 0], torch.tensor([0.5, 0.4, 0.4]).double())


def test_zoom_blur_enlarges_like_scipy() -> None:
    image = photograph()[:32, :32] / 255
    want = image.copy()
    factors = np.arange(1, 1.11, 0.01)
    for factor in factors:
        kept = math.ceil(32 / factor)
        start = (32 - kept) // 2
        middle = image[start : start + kept, start : start + kept]
        larger = ndimage.zoom(middle, (factor, factor, 1), order=1)
        trim = (len(larger) - 32) // 2
        want += larger[trim : trim + 32, trim : trim + 32]
    got = zoom_blur(tensor(photograph()[:32, :32]), 1.11)[0].permute(1, 2, 0)
    np.testing.assert_allclose(got, want / (len(factors) + 1), rtol=0, atol=1e-12)


def plain(value: int, count: int = 40) -> torch.Tensor:
    return torch.full((count, 3, 32, 32), value / 255, dtype=torch.float64)


@pytest.mark.parametrize("severity", [1, 5])
def test_gaussian_and_speckle_noise_have_their_deviation(severity: int) -> None:
    for kind, factor in (("gaussian-noise", 1.0), ("speckle-noise", 0.4)):
        deviation = KINDS[kind].constants[severity - 1] * factor
        got = corrupt(plain(102), kind, severity, constants="cifar-10-c")
        assert float(got.std()) == pytest.approx(deviation, rel=0.02)
        # Cutting to whole grey values takes half of one off on average.
        assert float(got.mean()) == pytest.approx(0.4 - 0.5 / 255, abs=0.001)
        z = (got - got.mean()).div(got.std()).flatten().numpy()
        assert abs(stats.skew(z)) < 0.05
        assert abs(stats.kurtosis(z)) < 0.1


def test_shot_noise_is_poisson() -> None:
    for severity, photons in enumerate(KINDS["shot-noise"].constants, start=1):
        got = corrupt(plain(51), "shot-noise", severity, constants="cifar-10-c")
        counts = (got * photons + 1e-6).ceil() if photons < 255 else got * photons
        mean = 51 / 255 * photons
        assert float(counts.mean()) == pytest.approx(mean, rel=0.03)
        assert float(counts.var()) == pytest.approx(mean, rel=0.06)
    raw = KINDS["shot-noise"].function(plain(51), 50.0, Noise(9, torch.arange(40))) * 50
    found = np.bincount(raw.round().long().flatten().numpy(), minlength=30)[:30]
    want = stats.poisson.pmf(np.arange(30), 10) * raw.numel()
    likely = want > 20
    assert (
        stats.chisquare(found[likely], want[likely] * found[likely].sum() / want[likely].sum())[1]
        > 1e-3
    )


def test_white_and_black_under_shot_noise() -> None:
    noise = Noise(1, torch.arange(40))
    assert not KINDS["shot-noise"].function(plain(0), 50.0, noise).any()
    white = KINDS["shot-noise"].function(plain(255), 50.0, noise)
    assert float(white.mean()) == pytest.approx(1, abs=0.01)


def test_impulse_noise_replaces_its_share_of_values() -> None:
    for severity, share in enumerate(KINDS["impulse-noise"].constants, start=1):
        got = corrupt(plain(128), "impulse-noise", severity, constants="cifar-10-c")
        for extreme in (0.0, 1.0):
            assert float((got == extreme).double().mean()) == pytest.approx(share / 2, rel=0.1)


def test_glass_blur_takes_colours_from_neighbours_alone() -> None:
    # At the mildest severity the blur is too narrow to change anything.
    image = torch.arange(256.0, dtype=torch.float64).div(255).view(1, 1, 16, 16)
    got = corrupt(image, "glass-blur", 1, constants="cifar-10-c")
    moved = (got * 255).round().long().view(16, 16)
    rows, columns = moved // 16, moved % 16
    at = torch.arange(16)
    # Reaching one pixel left or up, again and again along a row or column.
    assert (rows <= at[:, None]).all()
    assert (columns <= at).all()
    assert torch.equal(moved[:2], image.mul(255).long().view(16, 16)[:2])  # never visited
    assert 0.5 < float((moved != torch.arange(256).view(16, 16)).double().mean()) < 0.9


def test_fog_is_smooth_and_denser_with_severity() -> None:
    image = torch.zeros(8, 1, 32, 32, dtype=torch.float64)
    image[:, :, 0, 0] = 1.0  # fog is as bright as the brightest pixel
    thin, thick = (KINDS["fog"](image, severity, Noise(2, torch.arange(8))) for severity in (1, 5))
    assert float(thick.mean()) > 2 * float(thin.mean()) > 0
    across = (thin[..., 1:, 1:] - thin[..., 1:, :-1]).abs().mean()
    assert float(across) < 0.5 * float(thin[..., 1:, 1:].std())
