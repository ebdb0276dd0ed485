"""DeepFool against its closed form and against foolbox."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.deepfool import DeepFool
from robench.attacks.metrics import rho_adv_of_estimates


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_one_step_suffices_on_a_linear_model(linear, classes: int) -> None:
    task = linear(classes)
    result = DeepFool()(task.model, task.images, task.labels, box=False)
    torch.testing.assert_close(result.distance, 1.02 * (task.distance + 1e-4), rtol=1e-4, atol=1e-6)
    exact = DeepFool(overshoot=0.0)(task.model, task.images, task.labels, box=False)
    assert (exact.distance / task.distance).max() < 1.02
    # One Jacobian, and one look at where it leads.
    assert (result.forwards == 2).all()
    assert (result.backwards == classes - 1).all()


def test_only_the_likeliest_classes_compete(linear) -> None:
    task = linear(30)
    ten = DeepFool()(task.model, task.images, task.labels, box=False)
    all_classes = DeepFool(classes=30)(task.model, task.images, task.labels, box=False)
    assert (ten.backwards == 9).all()
    assert (all_classes.backwards == 29).all()
    assert (all_classes.distance <= ten.distance * (1 + 1e-6)).all()
    torch.testing.assert_close(
        all_classes.distance, 1.02 * (task.distance + 1e-4), rtol=1e-4, atol=1e-6
    )


def test_distances_are_those_of_foolbox(digits, foolbox) -> None:
    images, labels = digits.correct(200)
    peer = foolbox.attacks.L2DeepFoolAttack(steps=50)
    bounded = foolbox.PyTorchModel(digits.model, bounds=(0, 1))
    points, _, success = peer(bounded, images, labels, epsilons=None)
    theirs = (points - images).norm(dim=1).double()
    ours = DeepFool()(digits.model, images, labels)
    assert success.all()
    assert ours.success.all()
    assert ours.distance.median().item() == pytest.approx(theirs.median().item(), rel=0.01)
    torch.testing.assert_close(ours.distance, theirs, rtol=1e-3, atol=1e-4)


def test_without_a_box_it_is_that_of_foolbox_with_a_wide_one(digits, foolbox) -> None:
    images, labels = digits.correct(100)
    bounded = foolbox.PyTorchModel(digits.model, bounds=(-100, 100))
    peer = foolbox.attacks.L2DeepFoolAttack(steps=50)
    points, _, _ = peer(bounded, images, labels, epsilons=None)
    free = DeepFool()(digits.model, images, labels, box=False)
    boxed = DeepFool()(digits.model, images, labels)
    torch.testing.assert_close(
        free.distance, (points - images).norm(dim=1).double(), rtol=1e-3, atol=1e-4
    )
    assert free.distance.median() < boxed.distance.median()
    norm = images.norm(dim=1)
    expected = (free.distance / norm).mean().item()
    assert rho_adv_of_estimates(free.distance, norm) == pytest.approx(expected, rel=1e-6)


class Flat(nn.Module):
    """Right for any image, with no gradient."""

    def forward(self, images: Tensor) -> Tensor:
        return (images[:, :3] > 0.5).float()


def test_an_image_without_gradients_is_given_up_at_once() -> None:
    images = torch.tensor([[0.9, 0.1, 0.2], [0.1, 0.2, 0.7]])
    result = DeepFool()(Flat().eval(), images)
    assert result.distance.isinf().all()
    assert (result.forwards == 2).all()


def test_the_scale_of_the_logits_does_not_matter(digits) -> None:
    images, labels = digits.correct(50)
    plain = DeepFool()(digits.model, images, labels).distance

    class Scaled(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return digits.model(images) * 1e-6

    scaled = DeepFool()(Scaled().eval(), images, labels).distance
    torch.testing.assert_close(scaled, plain, rtol=1e-3, atol=0)
