"""The closest point of each image that holds when it is asked again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robench.attacks.core.base import AttackResult
from robench.attacks.core.inputs import check_inputs
from robench.attacks.suite.best_adversarials import SMALLEST_MARGIN, BestAdversarials, best_verified
from robench.attacks.suite.runs import RunResult
from robench.attacks.suite.verify import Verifier


class Step(nn.Module):
    """Class 1 from 0.5 on; in float64 only from `later` on. The slope is that of the margin."""

    def __init__(self, later: float = 0.5, slope: float = 1.0) -> None:
        super().__init__()
        self.later = later
        self.slope = slope
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        boundary = 0.5 if images.dtype == torch.float32 else self.later
        lead = self.slope * (images[:, 0] - boundary)
        return torch.stack([-lead, lead], dim=1)


IMAGES = torch.full((2, 1), 0.1)
LABELS = torch.zeros(2, dtype=torch.int64)


def result(*values: float, on_ray: tuple[float, ...] | None = None) -> RunResult:
    """A run that found these points; infinite distance for a value of 0.1, the image."""

    def points_of(numbers: tuple[float, ...]) -> tuple[Tensor, Tensor]:
        points = torch.tensor(numbers)[:, None]
        far = (points - IMAGES).double().norm(dim=1)
        return points, torch.where(far > 0, far, torch.inf)

    none = torch.zeros(2, dtype=torch.int64)
    points, distance = points_of(values)
    short, short_distance = points_of(on_ray or values)
    result = AttackResult(points, distance, none, none, 0.0, None, none.bool())
    return RunResult(result, short, short_distance, none)


def closest(model: nn.Module, **results: RunResult) -> BestAdversarials:
    inputs = check_inputs(model, IMAGES, LABELS)
    return best_verified(inputs, results, Verifier(inputs.model, IMAGES))


def test_the_closest_of_all_runs_wins() -> None:
    found = closest(Step(), a=result(0.8, 0.6), b=result(0.7, 0.9))
    assert found.winner == ("b", "a")
    torch.testing.assert_close(found.distance, torch.tensor([0.6, 0.5]).double())
    assert not found.lost.any()


def test_the_point_before_bisection_stands_in() -> None:
    found = closest(Step(later=0.6), a=result(0.8, 0.8, on_ray=(0.55, 0.7)))
    torch.testing.assert_close(found.distance, torch.tensor([0.7, 0.6]).double())


def test_a_point_within_rounding_is_lengthened_a_little() -> None:
    found = closest(Step(later=0.50002), a=result(0.50001, 0.50001))
    assert (found.distance > 0.40002).all()
    assert (found.distance < 0.40002 * 1.0011).all()
    assert found.winner == ("a", "a")


def test_what_never_holds_is_lost() -> None:
    found = closest(Step(later=0.9), a=result(0.8, 0.1))
    assert found.winner == ("none", "none")
    assert found.distance.isinf().all()
    assert torch.equal(found.adversarial, IMAGES)
    assert found.lost.tolist() == [True, False]  # for the second nothing was found


def test_a_margin_of_rounding_counts_where_there_is_no_other() -> None:
    class Sliver(nn.Module):
        """Beyond 0.5 another class is ahead by next to nothing, wherever that is."""

        def forward(self, images: Tensor) -> Tensor:
            lead = torch.where(images[:, 0] < 0.5, -1.0, 1e-8).to(images)
            return torch.stack([torch.zeros_like(lead), lead], dim=1)

    found = closest(Sliver().eval(), a=result(0.6, 0.7))
    assert found.distance.isfinite().all()
    assert (found.margin < SMALLEST_MARGIN).all()
    firm = closest(Step(), a=result(0.6, 0.7))
    assert (firm.margin >= SMALLEST_MARGIN).all()
    # In units of the clean margin: 2 * 0.4 before, 2 * 0.1 and 2 * 0.2 behind the boundary.
    torch.testing.assert_close(firm.margin, torch.tensor([0.25, 0.5]).double(), rtol=1e-4, atol=0)
