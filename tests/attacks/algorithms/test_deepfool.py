"""DeepFool against its closed form and against foolbox."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.algorithms.deepfool import Boundaries, DeepFool, walk_to_boundary
from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.oracle import Oracle
from robench.attacks.evaluation.metrics import rho_adv_of_estimates
from tests.networks import ThresholdLogits


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_one_step_suffices_on_a_linear_model(linear, classes: int) -> None:
    task = linear(classes)
    result = DeepFool()(task.model, task.images, task.labels, box=False)
    torch.testing.assert_close(result.distance, 1.02 * (task.distance + 1e-4), rtol=1e-4, atol=1e-6)
    exact = DeepFool(overshoot=0.0)(task.model, task.images, task.labels, box=False)
    assert (exact.distance / task.distance).max() < 1.02
    # One Jacobian, and one gradient where it leads.
    assert (result.forwards == 2).all()
    assert (result.backwards == classes).all()


def test_only_the_likeliest_classes_compete(linear) -> None:
    task = linear(30)
    ten = DeepFool()(task.model, task.images, task.labels, box=False)
    all_classes = DeepFool(classes=30)(task.model, task.images, task.labels, box=False)
    assert (ten.backwards == 9 + 1).all()
    assert (all_classes.backwards == 29 + 1).all()
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


def test_an_image_without_gradients_is_given_up_at_once() -> None:
    images = torch.tensor([[0.9, 0.1, 0.2], [0.1, 0.2, 0.7]])
    result = DeepFool()(ThresholdLogits().eval(), images)
    assert result.distance.isinf().all()
    assert (result.forwards == 1).all()


def test_the_scale_of_the_logits_does_not_matter(digits) -> None:
    images, labels = digits.correct(50)
    plain = DeepFool()(digits.model, images, labels).distance

    class Scaled(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return digits.model(images) * 1e-6

    scaled = DeepFool()(Scaled().eval(), images, labels).distance
    torch.testing.assert_close(scaled, plain, rtol=1e-3, atol=0)


def test_leaving_rivals_out_changes_no_distance(digits, pruned, winners, signs) -> None:
    for task in (digits, pruned, winners, signs):
        images, labels = task.correct(100)
        every = DeepFool(steepening=None)(task.model, images, labels)
        some = DeepFool()(task.model, images, labels)
        torch.testing.assert_close(some.distance, every.distance, rtol=1e-4, atol=0)
        assert some.backwards.sum() < 0.8 * every.backwards.sum()
        assert some.passes.sum() < every.passes.sum()


class Bent(nn.Module):
    """From the height of 0.2 on the second class rises five times as fast as at the origin, and
    the third, which seemed far away, 200 times as fast."""

    def forward(self, images: Tensor) -> Tensor:
        across, height = images[:, 0], images[:, 1]
        valley = 6 * (height - 0.1).clamp_min(0) - 10 * (height - 0.2).clamp_min(0)
        second = height - valley - 0.3
        third = (0.01 + 20 * (height - 0.2).clamp_min(0)) * across - 0.02
        return torch.stack([torch.zeros_like(across), second, third], dim=1)


def test_where_a_slope_has_grown_by_more_all_rivals_are_computed() -> None:
    images = torch.zeros(1, 2)
    every = DeepFool(steepening=None)(Bent().eval(), images, box=False)
    some = DeepFool()(Bent().eval(), images, box=False)
    assert some.success.all()
    with torch.no_grad():
        assert Bent()(some.adversarial).argmax(dim=1).item() == 2
    torch.testing.assert_close(some.distance, every.distance)
    # The second's slope was asked for alone once, and found to have grown.
    assert some.backwards.item() == every.backwards.item() + 1
    assert some.forwards.item() == every.forwards.item() + 1


def test_an_image_gets_the_same_alone_as_among_others(digits) -> None:
    images, labels = digits.correct(64)
    together = DeepFool()(digits.model, images, labels).distance[:12]
    alone = DeepFool()(digits.model, images[:12], labels[:12], batch_size=1).distance
    torch.testing.assert_close(alone, together, rtol=1e-3, atol=0)


def test_what_is_found_in_the_last_step_counts(digits) -> None:
    images, labels = digits.correct(64)
    enough = DeepFool()(digits.model, images, labels)
    longest = int(enough.forwards.max())
    for steps in range(1, longest):
        cut = DeepFool(steps=steps, steepening=None)(digits.model, images, labels)
        assert (cut.forwards <= steps + 1).all()
        kept = cut.success
        torch.testing.assert_close(cut.distance[kept], enough.distance[kept], rtol=1e-4, atol=0)
    assert not DeepFool(steps=1)(digits.model, images, labels).success.all()


def test_walks_report_where_they_left_their_class(digits) -> None:
    images, labels = digits.correct(40)
    oracle = Oracle(check_inputs(digits.model, images, labels))
    rows = torch.tensor([7, 3, 30])
    arrived, points = walk_to_boundary(
        Boundaries(oracle, 10, 2.0), images[rows], rows, steps=50, overshoot=0.02
    )
    assert sorted(arrived.tolist()) == [3, 7, 30]
    with torch.no_grad():
        assert (digits.model(points).argmax(dim=1) != labels[arrived]).all()
    found = (points - images[arrived]).norm(dim=1)
    torch.testing.assert_close(found, oracle.best_distance[arrived])
    expected = DeepFool()(digits.model, images, labels).distance[arrived]
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=0)


def test_a_restart_walks_from_its_own_point(digits) -> None:
    images, labels = digits.correct(20)
    inputs = check_inputs(digits.model, images, labels)
    shift = 0.05 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    restarted = replace(inputs, starts=(images + shift).clamp(0, 1))
    first, second = DeepFool().attack(inputs), DeepFool().attack(restarted)
    assert second.success.all()
    assert not torch.equal(first.distance, second.distance)
    assert second.distance.median().item() == pytest.approx(first.distance.median().item(), rel=0.3)
