"""The floor without gradients, where random directions have a closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.algorithms.random_directions import RandomDirections
from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.oracle import Oracle


def distances_along(task, directions: int, seed: int) -> Tensor:
    """How far two linear classes are along the first directions of each image, [k, n]."""
    oracle = Oracle(check_inputs(task.model, task.images, task.labels, box=False, seed=seed))
    drawn = torch.stack([oracle.noise(oracle.rows) for _ in range(directions)])
    weight = (task.model.weight[1] - task.model.weight[0]).detach()
    uphill = torch.where(task.labels == 0, 1.0, -1.0)[:, None] * weight
    gap = (task.model(task.images) @ torch.tensor([1.0, -1.0])).abs().detach()
    ahead = (drawn * uphill).sum(dim=2)
    return torch.where(ahead > 0, gap / ahead, torch.inf).double()


def test_the_shortest_of_the_directions_is_found(linear) -> None:
    task = linear(2)
    result = RandomDirections(directions=40, steps=12)(
        task.model, task.images, task.labels, box=False, seed=5
    )
    expected = distances_along(task, 40, seed=5).amin(dim=0)
    ratio = result.distance / expected
    assert ratio.min() > 1 - 1e-4
    # Each bisection starts from no more than the diagonal of the box.
    assert (result.distance - expected).max() < 20**0.5 / 2**12
    assert (result.distance > task.distance).all()


def test_only_what_is_shorter_than_all_before_is_bisected(linear) -> None:
    task = linear(2)
    result = RandomDirections(directions=40, steps=12)(
        task.model, task.images, task.labels, box=False, seed=5
    )
    along = distances_along(task, 40, seed=5)
    reach = torch.maximum(task.images, 1 - task.images).norm(dim=1).double()
    shortest = torch.cat([reach[None], along]).cummin(dim=0).values
    records = (along < shortest[:-1]).sum(dim=0)
    # Two that differ by less than a bisection tells apart are one record or two.
    assert ((result.forwards - 40 - 12 * records).abs() <= 12).all()
    assert (result.forwards == 40 + 12 * records).double().mean() > 0.8
    assert (result.backwards == 0).all()


def test_more_directions_come_closer(digits) -> None:
    images, labels = digits.correct(30)
    few = RandomDirections(directions=5)(digits.model, images, labels)
    many = RandomDirections(directions=60)(digits.model, images, labels)
    assert many.success.all()
    assert (many.distance <= few.distance).all()
    assert many.distance.median() < 0.9 * few.distance.median()


class Above(nn.Module):
    """Class 1 from a mean of 0.5 on, without any gradient."""

    def forward(self, images: Tensor) -> Tensor:
        above = (images.mean(dim=1) > 0.5).float()
        return torch.stack([1 - above, above], dim=1)


class Constant(nn.Module):
    """Always class 0."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([1.0, 0.0]) + 0 * images[:, :2]


def test_it_needs_no_gradient() -> None:
    images = 0.45 + 0.04 * torch.rand(10, 6, generator=torch.Generator().manual_seed(0))
    result = RandomDirections(directions=60)(Above().eval(), images)
    assert result.success.all()
    shortest = (0.5 - images.mean(dim=1)) * 6**0.5
    assert (result.distance > shortest * (1 - 1e-4)).all()
    assert (result.distance / shortest).median() < 2


def test_where_there_is_nothing_nothing_is_found() -> None:
    result = RandomDirections(directions=7)(Constant().eval(), torch.rand(3, 4))
    assert result.distance.isinf().all()
    assert (result.forwards == 7).all()


@pytest.mark.parametrize("box", [True, False])
def test_an_image_gets_the_same_alone_as_among_others(digits, box: bool) -> None:
    images, labels = digits.correct(64)
    attack = RandomDirections(directions=10)
    together = attack(digits.model, images, labels, box=box).distance[:12]
    alone = attack(digits.model, images[:12], labels[:12], box=box, batch_size=1).distance
    torch.testing.assert_close(alone, together, rtol=1e-3, atol=0)
