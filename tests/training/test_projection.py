"""Noise of an exact length: against bisection, autograd, and what cannot be reached."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.training.projection import at_distance


def drawn(seed, count=6, size=40):
    """Images of which many values are at a bound, and noise, in float64."""
    generator = torch.Generator().manual_seed(seed)
    images = (3 * torch.rand(count, size, generator=generator, dtype=torch.float64) - 1).clamp(0, 1)
    return images, torch.randn(count, size, generator=generator, dtype=torch.float64)


def reach(images, noise):
    """How far each image can go at most."""
    return torch.where(noise > 0, 1 - images, images).norm(dim=1)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), distance=st.floats(0, 4))
def test_the_distance_is_exact_wherever_it_can_be_reached(seed, distance):
    images, noise = drawn(seed)
    found = (at_distance(images, noise, distance) - images).norm(dim=1)
    torch.testing.assert_close(found, reach(images, noise).clamp_max(distance), atol=1e-9, rtol=0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), distance=st.floats(0.1, 2))
def test_it_is_what_bisection_finds(seed, distance):
    images, noise = drawn(seed, count=1)
    low, high = 0.0, 100.0
    for _ in range(80):
        middle = (low + high) / 2
        is_near = ((images + middle * noise).clamp(0, 1) - images).norm() < distance
        low, high = (middle, high) if is_near else (low, middle)
    expected = (images + low * noise).clamp(0, 1)
    torch.testing.assert_close(at_distance(images, noise, distance), expected, atol=1e-8, rtol=0)


def test_in_float32_it_is_within_a_hundred_thousandth():
    images, noise = (part.float().repeat(4, 20) for part in drawn(1))
    found = at_distance(images, noise, 5.0) - images
    assert (found.double().norm(dim=1) - 5).abs().max() < 1e-5
    assert at_distance(images, noise, 5.0).dtype == torch.float32


def test_a_distance_that_cannot_be_reached_ends_at_the_bounds():
    images, noise = drawn(2)
    found = at_distance(images, noise, 100.0)
    torch.testing.assert_close(found, (noise > 0).to(images), atol=1e-12, rtol=0)


def test_without_noise_nothing_happens():
    images, noise = drawn(3)
    noise[0] = 0
    found = at_distance(images, noise, 1.0)
    assert torch.equal(found[0], images[0])
    assert (found[1] - images[1]).norm() == pytest.approx(1)


@pytest.mark.parametrize("distance", [0.5, 2.0, 100.0])
def test_its_derivative_is_the_right_one(distance):
    images, noise = drawn(4, count=2, size=8)
    noise.requires_grad_()
    assert torch.autograd.gradcheck(lambda free: at_distance(images, free, distance), (noise,))
