"""Adversarials of another network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.attacks.algorithms.transfer import Transfer
from robench.attacks.core.inputs import check_inputs
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.suites import AttackSuite, Member
from robench.errors import InputError

SUITE = AttackSuite("mine", 1, (Member("deepfool"), Member("transfer", is_gradient_free=True)))


class Step(nn.Module):
    """Class 1 from 0.5 on along the first feature; no gradient."""

    def forward(self, images):
        above = (images[:, 0] >= 0.5).to(images)
        return torch.stack([1 - above, above], dim=1)


IMAGES = torch.full((3, 2), 0.2)
LABELS = torch.zeros(3, dtype=torch.int64)


def test_rays_are_followed_shortened_and_lengthened() -> None:
    points = IMAGES.clone()
    points[:, 0] = torch.tensor([0.9, 0.4, 0.2])  # beyond, before, and not moved at all
    inputs = check_inputs(Step().eval(), IMAGES, LABELS, transferred=points)
    result = Transfer().attack(inputs)
    # Bisection starts where the ray first was adversarial, 0.9 and 0.2 + 1.5 * 0.2.
    assert result.distance[:2].tolist() == pytest.approx([0.3, 0.3], abs=1e-3)
    assert result.distance[2].isinf()
    assert not result.backwards.any()
    assert result.forwards.tolist() == [1 + 12, 4 + 12, 6]


def test_without_points_it_does_not_run(digits) -> None:
    assert Transfer().attack(check_inputs(Step().eval(), IMAGES, LABELS)).distance.isinf().all()
    images, labels = digits.correct(10)
    report = minimal_l2(digits.model, images, labels, SUITE)
    assert set(report.attacks) == {"deepfool"}
    assert report.flags["transfer"].value is None


def test_another_networks_points_win_where_the_gradient_is_hidden(digits) -> None:
    class Hidden(nn.Module):
        def forward(self, images):
            return digits.model(images.detach())

    images, labels = digits.correct(10)
    parent = minimal_l2(digits.model, images, labels)
    report = minimal_l2(Hidden().eval(), images, labels, SUITE, transferred=parent.adversarial)
    assert set(report.winner) == {"transfer"}
    assert report.flags["transfer"].raised
    assert report.flags["transfer"].value == 1
    assert (report.distance <= parent.distance * (1 + 1e-6)).all()
    sound = minimal_l2(digits.model, images, labels, SUITE, transferred=images)
    assert not sound.flags["transfer"].raised


def test_points_of_another_shape_are_refused(digits) -> None:
    images, labels = digits.correct(4)
    with pytest.raises(InputError, match="transferred have the shape"):
        minimal_l2(digits.model, images, labels, SUITE, transferred=images[:3])
    with pytest.raises(InputError, match="transferred leave"):
        minimal_l2(digits.model, images, labels, SUITE, transferred=images + 1)
