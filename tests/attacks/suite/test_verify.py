"""What is asked again under other conditions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.attacks import minimal_l2
from robench.attacks.core.inputs import check_inputs
from robench.attacks.suite.verify import Verifier, verify_claim
from robench.errors import InputError


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
    return check_inputs(model.eval(), images, torch.zeros(count, dtype=torch.int64)), images


def test_adversarials_of_one_batch_size_do_not_hold() -> None:
    inputs, images = start(ByBatch())
    with torch.no_grad():
        assert inputs.model(images + 0.7).argmax(dim=1).all()
    assert not Verifier(inputs.model, images).holds(inputs.labels, images + 0.7).any()


def test_adversarials_of_one_precision_do_not_hold() -> None:
    inputs, images = start(ByType())
    with torch.no_grad():
        assert inputs.model(images + 0.7).argmax(dim=1).all()
    assert not Verifier(inputs.model, images).holds(inputs.labels, images + 0.7).any()


class Threshold(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([0.5 - images[:, 0], images[:, 0] - 0.5], dim=1)


def test_sound_points_hold_and_others_do_not() -> None:
    inputs, images = start(Threshold(), 5)
    points = images.clone()
    points[:, 0] = torch.tensor([0.6, 0.4, 1.1, float("nan"), 1 + 5e-7])
    holds = Verifier(inputs.model, images).holds(inputs.labels, points)
    assert holds.tolist() == [True, False, False, False, True]


def test_outside_the_box_is_sound_where_there_is_none() -> None:
    images = torch.full((1, 4), 0.2)
    inputs = check_inputs(Threshold().eval(), images, None, box=False)
    assert Verifier(inputs.model, images).holds(inputs.labels, images + 1, box=False).all()


def test_a_model_that_refuses_double_precision_is_checked_in_single() -> None:
    model = Stubborn().eval()
    verifier = Verifier(model, torch.rand(2, 4))
    assert not verifier.in_double
    inputs = check_inputs(model, torch.rand(3, 4), None)
    assert not verifier.holds(inputs.labels, inputs.images).any()
    assert Verifier(nn.Linear(4, 2).eval(), torch.rand(2, 4)).in_double
    # The original keeps its precision.
    assert model.body.weight.dtype == torch.float32


def test_a_report_is_a_claim_that_holds(digits, short) -> None:
    images, labels = digits.images[:30], digits.labels[:30]
    report = minimal_l2(digits.model, images, labels, short)
    assert not report.correct.all()
    claim = verify_claim(digits.model, images, labels, report.adversarial, report.distance)
    assert claim.holds.all()
    assert str(claim) == "30 of 30 points hold"
    torch.testing.assert_close(claim.distance, report.distance)
    # Distances that were stored in float32 are no lie.
    stored = report.distance.float()
    assert verify_claim(digits.model, images, labels, report.adversarial, stored).holds.all()


def claim_of(points: Tensor, distance: Tensor, **kwargs: bool):
    images = torch.full((5, 4), 0.2)
    labels = torch.tensor([0, 0, 0, 0, 1])
    return verify_claim(Threshold().eval(), images, labels, points, distance, **kwargs)


def test_each_way_to_be_wrong_is_told() -> None:
    points = torch.full((5, 4), 0.2)
    points[:, 0] = torch.tensor([0.6, 0.4, 1.2, 0.6, 0.2])
    # The third leaves the box, the fourth lies nearer than it is; the fifth is misclassified.
    distance = torch.tensor([0.4, 0.2, 1.0, 0.3, 0.0])
    claim = claim_of(points, distance)
    assert claim.holds.tolist() == [True, False, False, False, True]
    assert claim.is_fooled.tolist() == [True, False, True, True, True]
    assert claim.in_bounds.tolist() == [True, True, False, True, True]
    assert claim.is_as_far.tolist() == [True, True, True, False, True]
    assert str(claim) == (
        "2 of 5 points hold; 1 do not change the answer; 1 are out of bounds; "
        "1 are not as far as claimed"
    )
    free = claim_of(points, distance, box=False)
    assert free.holds.tolist() == [True, False, True, False, True]


def test_nothing_found_is_nothing_to_check() -> None:
    points = torch.full((5, 4), 0.2)
    distance = torch.tensor([float("inf")] * 4 + [0.0])
    claim = claim_of(points, distance)
    assert claim.holds.all()
    assert claim.distance.tolist() == [float("inf")] * 4 + [0.0]
    nan = claim_of(points.fill_(float("nan")), torch.full((5,), float("nan")))
    assert not nan.holds.any()


def test_an_image_that_the_model_gets_right_is_not_misclassified() -> None:
    claim = claim_of(torch.full((5, 4), 0.2), torch.zeros(5))
    assert claim.holds.tolist() == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("points", "distance", "message"),
    [
        (torch.rand(4, 4), torch.zeros(5), r"the adversarials are \(4, 4\)"),
        (torch.rand(5, 4), torch.zeros(4), r"the distances are \(4,\)"),
        (torch.rand(5, 4), [0.0] * 5, "the distances are list"),
    ],
)
def test_a_claim_of_another_shape_is_refused(points, distance, message: str) -> None:
    with pytest.raises(InputError, match=message):
        claim_of(points, distance)


def test_a_claim_in_single_precision_says_so() -> None:
    images = torch.rand(3, 4)
    labels = torch.zeros(3, dtype=torch.int64)
    claim = verify_claim(Stubborn().eval(), images, labels, images, torch.zeros(3))
    assert "checked in its own precision alone" in str(claim)


def test_a_margin_may_be_asked_for() -> None:
    points = torch.full((2, 4), 0.2)
    points[:, 0] = torch.tensor([0.51, 0.7])
    verifier = Verifier(Threshold().eval(), points)
    labels = torch.zeros(2, dtype=torch.int64)
    assert verifier.holds(labels, points).tolist() == [True, True]
    assert verifier.holds(labels, points, smallest_margin=0.1).tolist() == [False, True]
