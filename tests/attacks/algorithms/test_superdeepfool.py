"""SuperDeepFool against its closed form, against DeepFool, and where it has to stop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.algorithms.deepfool import DeepFool
from robench.attacks.algorithms.superdeepfool import SuperDeepFool, _projected
from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.oracle import Oracle
from tests.networks import ThresholdLogits


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_linear_model_is_solved(linear, classes: int) -> None:
    task = linear(classes)
    result = SuperDeepFool()(task.model, task.images, task.labels, box=False)
    # What DeepFool goes too far is taken off, but for the length that it adds to each step.
    torch.testing.assert_close(result.distance, task.distance, rtol=1e-4, atol=1.1e-4)
    assert (result.distance > task.distance * (1 - 1e-6)).all()


class Sphere(nn.Module):
    """Class 1 beyond a sphere around a centre; the way out is along the radius."""

    def __init__(self, centre: Tensor, radius: float) -> None:
        super().__init__()
        self.register_buffer("centre", centre)
        self.radius = radius

    def forward(self, images: Tensor) -> Tensor:
        # Stretched, so that the gradient points to the boundary's nearest point only on it.
        stretch = 1 + images[:, 0] ** 2
        beyond = ((images - self.centre).norm(dim=1) - self.radius) * stretch
        return torch.stack([torch.zeros_like(beyond), beyond], dim=1)


def test_it_ends_at_a_right_angle_to_the_boundary() -> None:
    centre = torch.full((4,), 0.5)
    model = Sphere(centre, radius=1.2).eval()
    images = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
    expected = (1.2 - (images - centre).norm(dim=1)).double()
    plain = DeepFool()(model, images, box=False).distance / expected
    ours = SuperDeepFool()(model, images, box=False).distance / expected
    assert plain.mean() > 1.05
    assert ours.max() < 1.005
    assert ours.min() > 1 - 1e-5


def test_it_comes_closer_than_deepfool(digits, signs) -> None:
    for task, gain in ((digits, 0.995), (signs, 0.7)):
        images, labels = task.correct(100)
        result = SuperDeepFool()(task.model, images, labels)
        plain = DeepFool(steps=20)(task.model, images, labels)
        both = plain.success
        assert result.success[both].all()
        # The first round is DeepFool; what follows can only shorten.
        assert (result.distance[both] <= plain.distance[both] * (1 + 1e-5)).all()
        assert result.distance[both].mean() < gain * plain.distance[both].mean()


def test_each_image_is_projected_onto_the_boundary_linearised_there(digits) -> None:
    images, labels = digits.correct(10)
    found = DeepFool()(digits.model, images, labels, box=False).adversarial
    oracle = Oracle(check_inputs(digits.model, images, labels, box=False))
    projected, rows = _projected(oracle, found, oracle.rows)
    assert torch.equal(rows, oracle.rows)
    assert (oracle.forwards == 1).all()
    near = 0
    for row in rows.tolist():
        point = found[row : row + 1].clone().requires_grad_()
        logits = digits.model(point)[0]
        lead = logits.max() - logits[labels[row]]
        (slope,) = torch.autograd.grad(lead, point)
        moved = projected[row] - images[row]
        torch.testing.assert_close(moved / moved.norm(), slope[0] / slope.norm())
        left = (lead + slope[0] @ (projected[row] - found[row])) / slope.norm()
        way = (found[row] - images[row]) @ slope[0] / slope.norm()
        is_near = lead / slope.norm() < 0.05 * way
        near += int(is_near)
        expected = 0 if is_near else lead.item() / slope.norm().item() - 0.05 * way.item()
        assert left.item() == pytest.approx(expected, abs=1e-5)
    assert 5 <= near < 10


def test_where_logits_jump_hardly_anything_is_taken_off() -> None:
    class Jump(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            height = images[:, 0] + 100 * (images[:, 0] > 0.5)
            return torch.stack([torch.full_like(height, 0.5), height], dim=1)

    images = torch.tensor([[0.1, 0.3]])
    oracle = Oracle(check_inputs(Jump().eval(), images, None))
    projected, _ = _projected(oracle, torch.tensor([[0.6, 0.3]]), oracle.rows)
    torch.testing.assert_close(projected, torch.tensor([[0.1 + 0.95 * 0.5, 0.3]]))


def test_the_number_of_rounds_and_steps_is_kept(digits) -> None:
    images, labels = digits.correct(40)
    one = SuperDeepFool(rounds=1)(digits.model, images, labels)
    plain = DeepFool(steps=20)(digits.model, images, labels)
    torch.testing.assert_close(one.distance, plain.distance)
    # A walk, and one gradient for the normal.
    assert torch.equal(one.forwards, plain.forwards + plain.success)
    full = SuperDeepFool()(digits.model, images, labels)
    assert (full.distance <= one.distance * (1 + 1e-6)).all()
    assert full.passes.max() < 250


def test_an_image_without_gradients_is_given_up_at_once() -> None:
    images = torch.tensor([[0.9, 0.1, 0.2], [0.1, 0.2, 0.7]])
    result = SuperDeepFool()(ThresholdLogits().eval(), images)
    assert result.distance.isinf().all()
    assert (result.forwards == 1).all()


class Plateau(nn.Module):
    """A slope to a boundary, behind which there is none."""

    def forward(self, images: Tensor) -> Tensor:
        height = images[:, 0].clamp_max(0.5)
        return torch.stack([torch.full_like(height, 0.49), height], dim=1)


def test_a_plateau_behind_the_boundary_ends_the_search() -> None:
    result = SuperDeepFool(overshoot=0.5)(Plateau().eval(), torch.tensor([[0.4, 0.2]]))
    assert result.distance.item() == pytest.approx(1.5 * (0.09 + 1e-4), rel=1e-3)
    assert result.forwards.item() == 3


def test_an_image_gets_the_same_alone_as_among_others(digits) -> None:
    images, labels = digits.correct(64)
    together = SuperDeepFool()(digits.model, images, labels).distance[:12]
    alone = SuperDeepFool()(digits.model, images[:12], labels[:12], batch_size=1).distance
    torch.testing.assert_close(alone, together, rtol=1e-3, atol=0)


@pytest.mark.parametrize("factor", [1000.0, 1e-3])
def test_the_scale_of_the_logits_does_not_matter(digits, factor: float) -> None:
    images, labels = digits.correct(50)

    class Scaled(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return digits.model(images) * factor

    plain = SuperDeepFool()(digits.model, images, labels).distance
    scaled = SuperDeepFool()(Scaled().eval(), images, labels).distance
    torch.testing.assert_close(scaled, plain, rtol=0.02, atol=0)
