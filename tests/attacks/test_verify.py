"""What is asked again under other conditions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robench.attacks.problem import examine
from robench.attacks.verify import Verifier


class ByBatch(nn.Module):
    """Errs only in batches of more than 16, as a kernel might by rounding."""

    def forward(self, images: Tensor) -> Tensor:
        wrong = torch.full((len(images),), float(len(images) > 16)) * (images[:, 0] > 0.5)
        return torch.stack([1 - wrong, wrong], dim=1) * (1 + images[:, :1])


class ByType(nn.Module):
    """Errs in float32 alone."""

    def forward(self, images: Tensor) -> Tensor:
        wrong = (images[:, 0] > 0.5).float() * float(images.dtype == torch.float32)
        return torch.stack([1 - wrong, wrong], dim=1) * (1 + images[:, :1])


class Stubborn(nn.Module):
    """Works in float32, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images.float())


def start(model: nn.Module, count: int = 20) -> tuple[object, Tensor]:
    images = torch.full((count, 4), 0.2)
    return examine(model.eval(), images, torch.zeros(count, dtype=torch.int64)), images


def test_adversarials_of_one_batch_size_do_not_hold() -> None:
    problem, images = start(ByBatch())
    with torch.no_grad():
        assert problem.model(images + 0.7).argmax(dim=1).all()
    assert not Verifier(problem.model, images).holds(problem.labels, images + 0.7).any()


def test_adversarials_of_one_precision_do_not_hold() -> None:
    problem, images = start(ByType())
    with torch.no_grad():
        assert problem.model(images + 0.7).argmax(dim=1).all()
    assert not Verifier(problem.model, images).holds(problem.labels, images + 0.7).any()


class Threshold(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([0.5 - images[:, 0], images[:, 0] - 0.5], dim=1)


def test_sound_points_hold_and_others_do_not() -> None:
    problem, images = start(Threshold(), 5)
    points = images.clone()
    points[:, 0] = torch.tensor([0.6, 0.4, 1.1, float("nan"), 1 + 5e-7])
    holds = Verifier(problem.model, images).holds(problem.labels, points)
    assert holds.tolist() == [True, False, False, False, True]


def test_outside_the_box_is_sound_where_there_is_none() -> None:
    images = torch.full((1, 4), 0.2)
    problem = examine(Threshold().eval(), images, None, box=False)
    assert Verifier(problem.model, images).holds(problem.labels, images + 1, box=False).all()


def test_a_model_that_refuses_double_precision_is_checked_in_single() -> None:
    model = Stubborn().eval()
    verifier = Verifier(model, torch.rand(2, 4))
    assert not verifier.in_double
    problem = examine(model, torch.rand(3, 4), None)
    assert not verifier.holds(problem.labels, problem.images).any()
    assert Verifier(nn.Linear(4, 2).eval(), torch.rand(2, 4)).in_double
    # The original keeps its precision.
    assert model.body.weight.dtype == torch.float32
