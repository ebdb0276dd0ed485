"""DDN against its closed form and against foolbox."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.attacks.algorithms.ddn import DDN


@pytest.mark.parametrize(("classes", "targets"), [(2, 0), (3, 0), (2, 3), (10, 9)])
def test_a_linear_model_is_solved(linear, classes: int, targets: int) -> None:
    task = linear(classes)
    result = DDN(targets=targets)(task.model, task.images, task.labels, box=False)
    ratio = result.distance / task.distance
    assert ratio.min() > 1 - 1e-4
    assert ratio.max() < 1.02


def test_fewer_targets_than_rivals_can_miss_the_nearest_of_them(linear) -> None:
    task = linear(10)
    ratios = [
        DDN(targets=targets)(task.model, task.images, task.labels, box=False).distance
        / task.distance
        for targets in (0, 3, 9)
    ]
    assert all(ratio.median() < 1.02 for ratio in ratios)
    assert ratios[0].mean() > ratios[1].mean() > ratios[2].mean()


def test_distances_are_those_of_foolbox(digits, foolbox) -> None:
    images, labels = digits.correct(200)
    bounded = foolbox.PyTorchModel(digits.model, bounds=(0, 1))
    points, _, success = foolbox.attacks.DDNAttack(steps=100)(
        bounded, images, labels, epsilons=None
    )
    theirs = (points - images).norm(dim=1).double()
    ours = DDN()(digits.model, images, labels)
    assert success.all()
    assert ours.success.all()
    assert ours.distance.median().item() == pytest.approx(theirs.median().item(), rel=0.01)
    assert ours.distance.mean().item() == pytest.approx(theirs.mean().item(), rel=0.02)


def test_targets_find_closer_points(digits) -> None:
    images, labels = digits.correct(100)
    one = DDN()(digits.model, images, labels).distance
    three = DDN(targets=3)(digits.model, images, labels)
    assert three.distance.mean() < one.mean()
    assert (three.forwards == 300).all()
    assert (three.backwards == 300).all()


@pytest.mark.parametrize("factor", [1000.0, 1e-3])
@pytest.mark.parametrize("targets", [0, 3])
def test_the_scale_of_the_logits_does_not_matter(digits, factor: float, targets: int) -> None:
    images, labels = digits.correct(50)

    class Scaled(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return digits.model(images) * factor

    plain = DDN(targets=targets)(digits.model, images, labels).distance
    scaled = DDN(targets=targets)(Scaled().eval(), images, labels).distance
    torch.testing.assert_close(scaled, plain, rtol=0.02, atol=0)


def test_an_image_gets_the_same_alone_as_among_others(digits) -> None:
    images, labels = digits.correct(64)
    together = DDN(targets=3)(digits.model, images, labels).distance[:8]
    alone = DDN(targets=3)(digits.model, images[:8], labels[:8], batch_size=1).distance
    torch.testing.assert_close(alone, together, rtol=1e-3, atol=0)


class Steps(nn.Module):
    """A staircase: class 1 where the mean of the first half exceeds that of the second."""

    def forward(self, images: Tensor) -> Tensor:
        half = images.shape[1] // 2
        difference = images[:, :half].mean(dim=1) - images[:, half:].mean(dim=1)
        return F.one_hot((difference > 0).long(), 2).float()


def test_without_gradients_it_searches_at_random_and_reproducibly() -> None:
    images = 0.4 + 0.2 * torch.rand(8, 6, generator=torch.Generator().manual_seed(0))
    first = DDN()(Steps().eval(), images, seed=1)
    assert first.success.all()
    again = DDN()(Steps().eval(), images.flip(0), seed=1, batch_size=3)
    torch.testing.assert_close(again.distance.flip(0), first.distance)
    other = DDN()(Steps().eval(), images, seed=2)
    assert not torch.equal(other.distance, first.distance)
