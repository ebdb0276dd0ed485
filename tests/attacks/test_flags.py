"""Flags fly over broken models, and only over those."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.flags import Flag, has_no_gradient, margin
from robench.attacks.minimal import minimal_l2
from robench.attacks.problem import examine

NAMES = {"mode", "probs", "scale", "grad0", "unbounded", "df-gap", "rayslack", "precision"}


class Around(nn.Module):
    """A model with something done to its input and to its output."""

    def __init__(self, model: nn.Module, before=None, after=None) -> None:
        super().__init__()
        self.model = model
        self.before = before or (lambda images: images)
        self.after = after or (lambda logits: logits)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.model(self.before(images)))


class SignWithStraightThrough(torch.autograd.Function):
    """A step, with the derivative of a clipped identity."""

    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.sign()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        return gradient * (values.abs() < 1)


def flags_of(model: nn.Module, images: Tensor, labels: Tensor, **kwargs) -> dict[str, Flag]:
    flags = minimal_l2(model, images, labels, **kwargs).flags
    assert set(flags) == NAMES
    assert all(flag.name == name and flag.meaning for name, flag in flags.items())
    return dict(flags)


def test_a_sound_model_raises_none(digits) -> None:
    flags = flags_of(digits.model, digits.images[:200], digits.labels[:200])
    assert not [name for name, flag in flags.items() if flag.raised]
    assert flags["unbounded"].value == 1
    assert flags["mode"].value == 0
    assert 0 < flags["rayslack"].value < 0.03
    assert 1 <= flags["df-gap"].value < 1.1


def test_probabilities_are_noted_and_change_nothing(digits) -> None:
    images, labels = digits.correct(50)
    softmax = Around(digits.model, after=lambda logits: logits.softmax(dim=1))
    report = minimal_l2(softmax, images, labels)
    assert report.flags["probs"].raised
    plain = minimal_l2(digits.model, images, labels)
    assert not plain.flags["probs"].raised
    assert report.distance.median().item() == pytest.approx(
        plain.distance.median().item(), rel=0.02
    )


@pytest.mark.parametrize(("factor", "raised"), [(1, False), (1000, True), (1e-4, True)])
def test_extreme_logits_are_noted(digits, factor: float, raised: bool) -> None:
    images, labels = digits.correct(16)
    scaled = Around(digits.model, after=lambda logits: logits * factor)
    flag = flags_of(scaled, images, labels, suite="l2-smoke")["scale"]
    assert flag.raised is raised
    assert flag.threshold == (0.1, 100.0)


def test_a_model_without_gradients_is_noted(digits) -> None:
    images, labels = digits.correct(40)
    cut = Around(digits.model, before=lambda images: images.detach())
    flags = flags_of(cut, images, labels)
    assert flags["grad0"].raised
    assert flags["grad0"].value == 1
    # DeepFool finds nothing at all.
    assert flags["df-gap"].raised
    assert flags["df-gap"].value == float("inf")
    assert flags["rayslack"].value is None
    assert not flags["rayslack"].raised


def test_the_share_without_a_gradient_is_counted_over_correct_images() -> None:
    class Half(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            first = torch.where(images[:, 0] > 0.5, images[:, 0], torch.ones(()))
            return torch.stack([first, torch.zeros(len(images))], dim=1)

    images = torch.tensor([[0.9, 0], [0.1, 0], [0.2, 0], [0.8, 0]])
    problem = examine(Half().eval(), images, torch.tensor([0, 0, 1, 0]))
    assert has_no_gradient(problem).tolist() == [False, True, False, False]


def test_a_discontinuous_model_is_noted(digits) -> None:
    torch.manual_seed(0)
    binary = nn.Sequential(nn.Linear(64, 64), _Sign(), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(binary.parameters(), 5e-3)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(binary(digits.images), digits.labels).backward()
        optimiser.step()
    flags = flags_of(binary.eval(), digits.images[:60], digits.labels[:60])
    assert flags["rayslack"].raised
    assert flags["df-gap"].raised


class _Sign(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return SignWithStraightThrough.apply(values)


def test_a_network_that_cannot_be_fooled_is_noted() -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([1 + images[:, 0], images[:, 0]], dim=1)

    flags = flags_of(Constant().eval(), torch.rand(8, 3), torch.zeros(8, dtype=torch.int64))
    assert flags["unbounded"].raised
    assert flags["unbounded"].value == 0
    assert flags["df-gap"].value is None
    assert flags["precision"].value is None


def test_adversarials_that_all_flip_back_are_counted() -> None:
    class InSingleOnly(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            slope = images[:, 0] - 0.5 if images.dtype == torch.float32 else images[:, 0] - 2
            return torch.stack([-slope, slope], dim=1)

    images = torch.full((10, 2), 0.2)
    report = minimal_l2(InSingleOnly().eval(), images, torch.zeros(10, dtype=torch.int64))
    assert report.flags["precision"].raised
    assert report.flags["precision"].value == 1
    assert report.distance.isinf().all()
    assert set(report.winner) == {"none"}


def test_the_margin_is_the_lead_over_the_best_rival() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.5], [0.0, 5.0, 1.0]])
    assert margin(logits, torch.tensor([0, 2])).tolist() == [0.5, -4.0]
