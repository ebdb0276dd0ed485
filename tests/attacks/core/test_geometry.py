"""Directions and balls."""

from __future__ import annotations

import torch
from torch import nn

from robench.attacks.core.geometry import into_ball, radius_of_box, reach_of_box, unit_direction
from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.oracle import Oracle

IMAGES = torch.tensor([[0.0, 0.5, 1.0], [0.2, 0.2, 0.2]])


def oracle(*, box: bool = True) -> Oracle:
    model = nn.Linear(3, 2).eval().requires_grad_(requires_grad=False)
    return Oracle(check_inputs(model, IMAGES, None, box=box))


def test_a_zero_gradient_becomes_a_random_direction() -> None:
    gradient = torch.tensor([[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]])
    direction = unit_direction(gradient, torch.tensor([0, 1]), oracle())
    torch.testing.assert_close(direction[0], torch.tensor([0.0, 0.6, 0.8]))
    torch.testing.assert_close(direction[1].norm(), torch.tensor(1.0))


def test_points_are_pulled_into_the_ball_and_left_alone_inside() -> None:
    points = IMAGES + torch.tensor([[0.3, 0.4, 0.0], [0.03, 0.04, 0.0]])
    pulled = into_ball(points, IMAGES, torch.tensor([0.1, 0.1]), oracle())
    torch.testing.assert_close(pulled[0], torch.tensor([0.06, 0.58, 1.0]))
    torch.testing.assert_close(pulled[1], points[1])


def test_what_leaves_the_box_is_clipped_unless_there_is_none() -> None:
    points = IMAGES + torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.0, -0.5]])
    wide = torch.full((2,), torch.inf)
    clipped = into_ball(points, IMAGES, wide, oracle())
    torch.testing.assert_close(clipped, points.clamp(0, 1))
    torch.testing.assert_close(into_ball(points, IMAGES, wide, oracle(box=False)), points)


def test_a_ball_without_a_radius_is_its_centre() -> None:
    assert torch.equal(into_ball(1 - IMAGES, IMAGES, torch.zeros(2), oracle()), IMAGES)


def test_the_widest_ball_reaches_the_farthest_corner() -> None:
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    farthest = torch.cdist(IMAGES, corners).amax(dim=1)
    torch.testing.assert_close(radius_of_box(oracle()), farthest)
    assert radius_of_box(oracle(box=False)).isinf().all()
    torch.testing.assert_close(reach_of_box(oracle(box=False)), farthest)
