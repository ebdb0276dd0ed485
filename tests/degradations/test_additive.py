"""Gaussian and speckle noise: their moments, and what they leave alone."""

from __future__ import annotations

import pytest
import torch

from robench import DEGRADATIONS, degrade

LEVELS = {
    "gaussian-noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "speckle-noise": (0.15, 0.2, 0.35, 0.45, 0.6),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", LEVELS)
def test_the_noise_has_the_mean_and_spread_that_it_says(kind, channels):
    """At grey 0.5 and little noise nothing is clipped."""
    images = torch.full((40, channels, 32, 32), 0.5)
    shift = degrade(images, kind, 0.1) - images
    spread = 0.1 if kind == "gaussian-noise" else 0.05
    assert float(shift.mean()) == pytest.approx(0, abs=4 * spread / shift.numel() ** 0.5)
    assert float(shift.std()) == pytest.approx(spread, rel=0.02)
    assert float((shift.abs() < spread).double().mean()) == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("kind", LEVELS)
def test_every_channel_has_noise_of_its_own(kind):
    shift = degrade(torch.full((20, 3, 32, 32), 0.5), kind, 0.1) - 0.5
    correlation = torch.corrcoef(shift.transpose(0, 1).flatten(1))
    assert (correlation - torch.eye(3)).abs().max() < 0.03


def test_speckle_leaves_black_alone_and_gaussian_does_not():
    black = torch.zeros(2, 1, 16, 16)
    assert torch.equal(degrade(black, "speckle-noise", 0.6), black)
    assert degrade(black, "gaussian-noise", 0.38).any()


@pytest.mark.parametrize("kind", LEVELS)
def test_level_zero_is_the_image_and_all_stays_in_range(kind):
    images = torch.rand(4, 3, 16, 16)
    assert torch.equal(degrade(images, kind, 0.0), images)
    for level in LEVELS[kind]:
        shown = degrade(images, kind, level)
        assert shown.min() >= 0
        assert shown.max() <= 1


@pytest.mark.parametrize("kind", LEVELS)
def test_an_image_gets_the_same_noise_in_any_batch_and_order(kind):
    images = torch.rand(6, 1, 8, 8)
    order = torch.tensor([4, 1, 5])
    whole = degrade(images, kind, 0.2, seed=3)
    assert torch.equal(degrade(images[order], kind, 0.2, seed=3, index=order), whole[order])


def test_they_are_not_among_the_published_kinds():
    from robench.degradations import DEGRADATIONS_REGISTRY

    for kind, levels in LEVELS.items():
        assert kind not in DEGRADATIONS
        assert DEGRADATIONS_REGISTRY.get(kind).levels == levels
