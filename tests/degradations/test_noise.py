from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from robench.degradations import degrade


def flat(value: float, count: int = 20) -> Tensor:
    return torch.full((count, 1, 64, 64), value)


@pytest.mark.parametrize("level", [0.03, 0.1, 0.35])
def test_uniform_noise_has_the_distribution_that_it_says(level: float) -> None:
    # At mid-grey, 30 % contrast is mid-grey too, and no level up to 0.5 is clipped.
    noise = (degrade(flat(0.5), "uniform-noise", level) - 0.5).double().flatten().numpy()
    assert abs(noise).max() <= level + 1e-7
    assert stats.kstest(noise, stats.uniform(-level, 2 * level).cdf).pvalue > 1e-3
    assert abs(noise.mean()) < 4 * level / (3 * len(noise)) ** 0.5
    assert noise.var() == pytest.approx(level**2 / 3, rel=0.02)


def test_uniform_noise_rides_on_the_image_at_30_percent_contrast() -> None:
    white, black = (
        degrade(flat(1.0), "uniform-noise", 0.1),
        degrade(flat(0.0), "uniform-noise", 0.1),
    )
    torch.testing.assert_close(white - black, flat(0.3), rtol=0, atol=2e-7)
    assert float(white.mean()) == pytest.approx(0.65, abs=1e-3)


def test_uniform_noise_is_clipped() -> None:
    noisy = degrade(flat(1.0), "uniform-noise", 0.9)
    # 0.65 + U(-0.9, 0.9) leaves [0, 1] above with probability 0.55 / 1.8, below with 0.25 / 1.8.
    assert float((noisy == 1).double().mean()) == pytest.approx(0.55 / 1.8, abs=0.01)
    assert float((noisy == 0).double().mean()) == pytest.approx(0.25 / 1.8, abs=0.01)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.95, 1.0])
def test_salt_and_pepper_replaces_the_fraction_that_it_says(level: float) -> None:
    pixels = degrade(flat(0.7), "salt-and-pepper", level).flatten()
    kept = (pixels != 0) & (pixels != 1)
    for share, expected in [
        ((pixels == 0).sum(), level / 2),
        ((pixels == 1).sum(), level / 2),
        (kept.sum(), 1 - level),
    ]:
        assert stats.binomtest(int(share), len(pixels), expected).pvalue > 1e-3
    torch.testing.assert_close(
        pixels[kept], torch.full_like(pixels[kept], 0.35 + 0.3 * 0.7), rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("kind", ["uniform-noise", "salt-and-pepper"])
def test_level_0_is_30_percent_contrast(images: Tensor, kind: str) -> None:
    assert torch.equal(degrade(images, kind, 0), degrade(images, "contrast", 0.3))


@pytest.mark.parametrize("kind", ["uniform-noise", "salt-and-pepper"])
def test_one_plane_for_all_channels(images: Tensor, kind: str) -> None:
    noisy = degrade(images, kind, 0.35)
    assert torch.equal(noisy, noisy[:, :1].expand_as(noisy))


@pytest.mark.parametrize("kind", ["uniform-noise", "salt-and-pepper"])
def test_seed_level_and_index_each_change_the_noise(kind: str) -> None:
    one = flat(0.5, 1)
    first = degrade(one, kind, 0.35, seed=0, index=[0])
    assert torch.equal(first, degrade(one, kind, 0.35, seed=0, index=[0]))
    for other in (
        degrade(one, kind, 0.35, seed=1, index=[0]),
        degrade(one, kind, 0.35, seed=0, index=[1]),
    ):
        # Two independent draws agree at a pixel by chance alone: never for the one kind, for the
        # other where both keep the pixel or both turn it the same way, 0.65² + 2 · 0.175².
        agree = float((first == other).double().mean())
        assert agree == pytest.approx(0.0 if kind == "uniform-noise" else 0.484, abs=0.03)


def test_levels_of_one_kind_have_independent_noise() -> None:
    weak = (degrade(flat(0.5, 1), "uniform-noise", 0.1) - 0.5).flatten().double().numpy()
    strong = (degrade(flat(0.5, 1), "uniform-noise", 0.2) - 0.5).flatten().double().numpy()
    assert stats.pearsonr(weak, strong).pvalue > 1e-3


def test_float32_and_float64_images_get_the_same_noise(images: Tensor) -> None:
    for kind in ("uniform-noise", "salt-and-pepper"):
        wide = degrade(images.double(), kind, 0.35)
        torch.testing.assert_close(degrade(images, kind, 0.35).double(), wide, rtol=0, atol=2e-7)
