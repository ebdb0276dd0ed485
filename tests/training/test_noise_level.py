"""How much noise a data set bears, and the count of images that did not bear it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robench.errors import InputError
from robench.training.adversarial_noise import NoiseGenerator, noisy
from robench.training.noise_level import NoiseTally, data_set_rms
from robench.training.projection import at_distance


def drawn(channels: int = 3, count: int = 41) -> torch.Tensor:
    generator = torch.Generator().manual_seed(channels)
    return torch.randint(0, 256, (count, channels, 9, 7), dtype=torch.uint8, generator=generator)


def near_black() -> torch.Tensor:
    """Like digits: a few bright strokes on black, nearer to black than 0.348 a value."""
    images = torch.zeros(8, 1, 28, 28)
    for number in range(8):
        images[number, 0, 4 + number : 22, 12:15] = 1.0
    return images


@pytest.mark.parametrize("channels", [1, 3])
def test_the_level_is_half_the_way_to_the_nearest_image_of_one_colour(channels: int) -> None:
    images = drawn(channels)
    pixels = images.numpy().reshape(len(images), channels, -1) / 255
    # The nearest constant: by trying colours around the mean, none is nearer.
    best = []
    for image in pixels:
        tried = image.mean(1)[None] + np.linspace(-0.05, 0.05, 21)[:, None]
        best.append(min(((image - colour[:, None]) ** 2).mean() for colour in tried) ** 0.5)
    assert data_set_rms(images) == pytest.approx(0.5 * np.median(best), abs=1e-4)
    assert data_set_rms(images.float() / 255) == data_set_rms(images)


def test_it_is_that_of_the_first_images_of_a_large_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from robench.training import noise_level

    images = drawn()
    monkeypatch.setattr(noise_level, "_PART_VALUES", 200)
    assert data_set_rms(images) == float(f"{data_set_rms(images.double().div(255).float()):.4g}")
    monkeypatch.setattr(noise_level, "_LOOKED_AT", 10)
    assert data_set_rms(images) == data_set_rms(images[:10])


def test_images_of_one_colour_give_no_level() -> None:
    images = drawn()
    images[:30] = 17
    with pytest.raises(InputError, match="one colour each"):
        data_set_rms(images)


def test_a_generator_of_a_constant_blanks_no_image() -> None:
    """The fault: what a generator learnt on digits at the level of ImageNet was black."""
    images = near_black()
    assert float(images.flatten(1).square().mean(1).sqrt().max()) < 0.348
    generator = NoiseGenerator(1)
    with torch.no_grad():
        generator.biases[-1].fill_(-100.0)
    black = at_distance(images, torch.full_like(images, -1.0), 0.348 * 28)
    assert not black.any()
    for rms in (0.348, 0.15):
        shown = noisy(images, generator, rms, torch.Generator().manual_seed(0)).detach()
        tally = NoiseTally(rms, "")
        tally.see(images, shown)
        assert (tally.notes()["blank_share"], tally.notes()["short_share"]) == (0, 0)
        assert (shown - images).square().mean((1, 2, 3)).sqrt() == pytest.approx(rms, abs=1e-6)


@pytest.mark.parametrize(("channels", "kernel"), [(1, 1), (3, 1), (3, 3)])
def test_the_mean_of_noise_is_zero_in_each_channel(channels: int, kernel: int) -> None:
    generator = NoiseGenerator(channels, kernel, seed=1).double()
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    images = torch.zeros(4, channels, 11, 8, dtype=torch.float64)
    noise = generator(generator.white(images, torch.Generator().manual_seed(2)))
    assert noise.mean((2, 3)).abs().max() < 1e-12
    assert noise.std((2, 3)).min() > 0.1


def test_the_tally_counts_what_is_blank_and_what_is_short() -> None:
    images = near_black()
    shown = images.clone()
    shown[0] = 0.25  # blank, and moved far enough
    shown[1] = 0.0  # blank and short
    shown[2:] += 0.2
    shown[3] = images[3]  # not moved at all
    images[4] = shown[4] - 0.2
    tally = NoiseTally(0.2, "by hand")
    tally.see(images[:4], shown[:4])
    tally.see(images[4:], shown[4:])
    short = (shown - images).square().mean((1, 2, 3)).sqrt() < 0.2 * 0.99
    assert tally.notes() == {
        "noise_rms": 0.2,
        "noise_rms_from": "by hand",
        "noisy_images": 8,
        "blank_share": 2 / 8,
        "short_share": int(short.sum()) / 8,
    }
    flags = {flag["name"]: flag for flag in tally.flags()}
    assert flags["noise-blanks"]["raised"]
    assert flags["noise-blanks"]["value"] == 0.25
    assert flags["noise-short"]["raised"]


def test_no_images_raise_no_flag() -> None:
    tally = NoiseTally(0.2, "")
    tally.see(torch.zeros(0, 1, 4, 4), torch.zeros(0, 1, 4, 4))
    assert not any(flag["raised"] for flag in tally.flags())
    black = torch.zeros(2, 3, 4, 4)
    tally.see(black, black + 0.2)  # blank before: the noise is not to blame
    assert tally.notes()["blank_share"] == 0


def test_a_level_that_is_given_wins() -> None:
    assert NoiseTally.of(0.3, images=drawn()).rms == 0.3
    assert NoiseTally.of(0.3, images=drawn()).rule == "given by the suite"
    assert NoiseTally.of(images=drawn()).rms == data_set_rms(drawn())
    assert "median distance" in NoiseTally.of(images=drawn()).rule
