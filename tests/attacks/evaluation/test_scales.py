"""Scales: the radii of a data set depend on its kind of input alone."""

from __future__ import annotations

import pytest

from robench.attacks.evaluation.scales import STEPS, curve_radii, scale_of, scale_of_shape
from robench.data import load


def test_scales_are_those_of_the_kind_of_input() -> None:
    assert scale_of(load("digits")).radii == (1.0, 2.0, 3.0)
    assert scale_of(load("breast-cancer")).area_limit == 1.0


@pytest.mark.parametrize(
    ("shape", "limit"),
    [((9, 1, 28, 28), 3.0), ((9, 3, 32, 32), 1.0), ((9, 30), 1.0), ((9, 1), 1.0)],
)
def test_grey_images_have_a_scale_of_their_own(shape: tuple[int, ...], limit: float) -> None:
    scale = scale_of_shape(shape)
    assert scale.area_limit == limit
    assert max(scale.radii) <= limit


@pytest.mark.parametrize("shape", [(9, 1, 28, 28), (9, 3, 32, 32)])
def test_even_steps_of_a_curve_meet_the_radii(shape: tuple[int, ...]) -> None:
    scale = scale_of_shape(shape)
    radii = curve_radii(scale.area_limit, scale.radii)
    assert len(radii) == STEPS + 1
    assert (radii[0], radii[-1]) == (0.0, scale.area_limit)


def test_radii_past_the_limit_are_added_in_order_and_once() -> None:
    assert curve_radii(1.0, (5.0, 0.5))[-2:] == (1.0, 5.0)
    assert curve_radii(1.0, (5.0, 0.5)).count(0.5) == 1
