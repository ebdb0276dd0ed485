"""FGSM against the closed forms of a linear model, and against foolbox."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.algorithms.fgsm import FGSM
from robench.attacks.core.base import AttackResult
from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.oracle import Oracle
from tests.networks import ThresholdLogits

REFINED = 1.002
"""Eight halvings between radii √2 apart leave 0.17 % at most."""


def radius(result: AttackResult, images: Tensor) -> Tensor:
    """Largest change of any pixel."""
    return (result.adversarial - images).abs().flatten(1).amax(dim=1)


def test_a_gradient_step_takes_the_shortest_way_through_two_linear_classes(linear) -> None:
    task = linear(2)
    result = FGSM()(task.model, task.images, task.labels, box=False)
    ratio = result.distance / task.distance
    assert ratio.min() > 1 - 1e-5
    assert ratio.max() < REFINED
    assert (result.backwards == 1).all()


def test_a_sign_step_has_the_smallest_radius_there_is_in_two_linear_classes(linear) -> None:
    task = linear(2)
    result = FGSM(step="sign")(task.model, task.images, task.labels, box=False)
    weight = (task.model.weight[1] - task.model.weight[0]).detach()
    logits = task.model(task.images).detach()
    expected = (logits[:, 1] - logits[:, 0]).abs() / weight.abs().sum()
    ratio = radius(result, task.images) / expected
    assert ratio.min() > 1 - 1e-4
    assert ratio.max() < REFINED
    length = expected.double() * task.images.shape[1] ** 0.5
    torch.testing.assert_close(result.distance, length, rtol=2e-3, atol=0)
    assert (result.distance > task.distance).all()


@pytest.mark.parametrize("step", ["gradient", "sign"])
def test_a_random_start_spends_its_share_of_the_radius(linear, step: str) -> None:
    task = linear(2)
    result = FGSM(step=step, random_start=0.5)(
        task.model, task.images, task.labels, box=False, seed=3
    )
    inputs = check_inputs(task.model, task.images, task.labels, box=False, seed=3)
    noise = Oracle(inputs).noise(torch.arange(len(task.images)))
    weight = (task.model.weight[1] - task.model.weight[0]).detach()
    uphill = torch.where(task.labels == 0, 1.0, -1.0)[:, None] * weight
    if step == "sign":
        noise, direction = noise.sign(), uphill.sign()
    else:
        direction = uphill / uphill.norm(dim=1, keepdim=True)
    gap = (task.model(task.images) @ torch.tensor([1.0, -1.0])).abs().detach()
    way = noise / 2 + direction / 2
    expected = gap / (uphill * way).sum(dim=1)
    length = (expected[:, None] * way).norm(dim=1).double()
    torch.testing.assert_close(result.distance, length, rtol=2e-3, atol=0)
    assert (result.backwards > 5).all()  # one for each radius


def test_of_many_classes_it_leaves_for_the_one_that_the_cross_entropy_names(linear) -> None:
    task = linear(10)
    result = FGSM()(task.model, task.images, task.labels, box=False)
    assert (result.distance > task.distance * (1 - 1e-5)).all()
    assert (result.distance / task.distance).median() < 1.1


@pytest.mark.parametrize("step", ["gradient", "sign"])
def test_accuracy_at_a_fixed_radius_is_that_of_foolbox(digits, foolbox, step: str) -> None:
    images, labels = digits.correct(150)
    bounded = foolbox.PyTorchModel(digits.model, bounds=(0, 1))
    result = FGSM(step=step)(digits.model, images, labels)
    assert result.success.all()
    if step == "sign":
        peer, size = foolbox.attacks.LinfFastGradientAttack(), radius(result, images)
    else:
        peer, size = foolbox.attacks.L2FastGradientAttack(), None
    for epsilon in (0.05, 0.1, 0.2, 0.4):
        points, _, success = peer(bounded, images, labels, epsilons=epsilon)
        if size is None:  # compared in what clipping leaves of the step
            reached = (points - images).norm(dim=1)
            ours = result.distance.float() <= reached * REFINED
        else:
            ours = size <= epsilon
        assert (ours != success).float().mean() < 0.03


def test_the_sum_of_passes_is_that_of_the_search(digits) -> None:
    images, labels = digits.correct(30)
    result = FGSM(radii=12, bisections=5)(digits.model, images, labels)
    assert result.success.all()
    assert (result.backwards == 1).all()
    assert result.forwards.min() >= 1 + 1 + 5
    assert result.forwards.max() <= 1 + 12 + 5
    coarse = FGSM(radii=12, bisections=0)(digits.model, images, labels)
    assert (coarse.distance >= result.distance * (1 - 1e-6)).all()
    assert coarse.distance.mean() > 1.02 * result.distance.mean()


@pytest.mark.parametrize("step", ["gradient", "sign"])
def test_without_a_gradient_nothing_is_found(step: str) -> None:
    images = torch.tensor([[0.9, 0.1, 0.2], [0.1, 0.2, 0.7]])
    result = FGSM(step=step)(ThresholdLogits().eval(), images)
    assert result.distance.isinf().all()


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("step", ["gradient", "sign"])
def test_neither_batch_nor_scale_of_the_logits_matters(digits, step: str, share: float) -> None:
    images, labels = digits.correct(64)

    class Scaled(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return digits.model(images) * 1000

    attack = FGSM(step=step, random_start=share)
    together = attack(digits.model, images, labels).distance
    alone = attack(digits.model, images[:12], labels[:12], batch_size=1).distance
    torch.testing.assert_close(alone, together[:12], rtol=1e-3, atol=0)
    scaled = attack(Scaled().eval(), images, labels).distance
    torch.testing.assert_close(scaled, together, rtol=0.02, atol=0)
