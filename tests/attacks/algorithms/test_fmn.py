"""FMN against foolbox's, and from another start."""

from __future__ import annotations

import torch
from torch import nn

from robench.attacks.algorithms.fmn import FMN


def test_foolbox_does_not_project_and_ours_does(digits, foolbox) -> None:
    images, labels = digits.correct(100)
    bounded = foolbox.PyTorchModel(digits.model, bounds=(0, 1))
    points, _, success = foolbox.attacks.L2FMNAttack(steps=100)(
        bounded, images, labels, epsilons=None
    )
    theirs = torch.where(success, (points - images).norm(dim=1), torch.inf)
    ours = FMN(steps=100)(digits.model, images, labels).distance
    assert (ours <= theirs).double().mean() > 0.95
    assert ours.median() < 0.75 * theirs.median()


def test_the_paper_s_radius_alone_stops_short(digits) -> None:
    """A row of pixels that can only leave the box hides the boundary from the linear estimate."""

    class Mostly(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            # The gradient points out of the box but for the last pixel, which must move by 0.5.
            push = images[:, -1] + 100 * images[:, :-1].mean(dim=1)
            return torch.stack([100.5 - push, push - 100.5], dim=1)

    images = torch.cat([torch.ones(3, 20), torch.tensor([[0.1], [0.2], [0.0]])], dim=1)
    result = FMN(steps=300)(Mostly().eval(), images)
    expected = torch.tensor([0.4, 0.3, 0.5], dtype=torch.float64)
    torch.testing.assert_close(result.distance, expected, rtol=0.02, atol=0)


def test_it_can_start_at_an_image_of_another_class(digits) -> None:
    images, labels = digits.correct(60)
    result = FMN(start="adversarial")(digits.model, images, labels)
    assert result.success.all()
    assert (result.forwards == 111).all()
    assert (result.backwards == 100).all()
    # Even one step does no worse than the start.
    start = FMN(start="adversarial", steps=1)(digits.model, images, labels).distance
    assert (result.distance <= start).all()


def test_without_an_image_of_another_class_it_starts_at_the_image(digits) -> None:
    images, labels = digits.correct(1)
    plain = FMN()(digits.model, images, labels)
    started = FMN(start="adversarial")(digits.model, images, labels)
    torch.testing.assert_close(started.distance, plain.distance)
    assert (started.forwards == plain.forwards).all()
