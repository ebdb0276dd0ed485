"""ALMA's penalty against autograd, and what returning to the closest adversarial is good for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.algorithms import alma
from robench.attacks.algorithms.alma import ALMA, _penalty, _slope

VALUES = torch.tensor([-2.0, -0.5, -1e-9, 0.0, 0.3, 1.5], dtype=torch.float64)


def test_the_penalty_is_zero_at_the_boundary_and_smooth() -> None:
    weight, multiplier = torch.tensor(1.7), torch.tensor(0.6)
    values = VALUES.clone().requires_grad_()
    penalty = _penalty(values, weight, multiplier)
    (slope,) = torch.autograd.grad(penalty.sum(), values)
    at_zero = VALUES == 0  # a kink of the clamps, not of the penalty
    expected = _slope(VALUES, weight, multiplier)
    torch.testing.assert_close(slope[~at_zero], expected[~at_zero])
    slope = expected
    assert penalty[3] == 0
    assert slope[3].item() == pytest.approx(0.6)
    assert (slope > 0).all()
    assert (slope.diff() >= 0).all()


def test_the_penalty_is_that_of_the_formula() -> None:
    above = _penalty(torch.tensor(2.0), torch.tensor(3.0), torch.tensor(0.5))
    assert above.item() == pytest.approx(0.5 * 2 + 0.5 * 3 * 2**2 + 3**2 * 2**3 / 6)
    below = _penalty(torch.tensor(-2.0), torch.tensor(3.0), torch.tensor(0.5))
    assert below.item() == pytest.approx(0.5 * -2 / (1 + 3 * 2))


def test_passes_are_the_steps_of_each_target(digits) -> None:
    images, labels = digits.correct(5)
    result = ALMA(steps=7, targets=2)(digits.model, images, labels)
    assert (result.forwards == 14).all()
    assert (result.backwards == 14).all()


@pytest.mark.parametrize("first_step", [0.3, 1.0])
def test_the_first_step_is_measured_by_the_linearised_boundary(linear, first_step: float) -> None:
    task = linear(2)
    seen: list[Tensor] = []
    task.model.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    ALMA(steps=2, first_step=first_step)(task.model, task.images, task.labels, box=False)
    before, after = seen[-4:-2]  # the last two judge what came out
    assert torch.equal(before, task.images)
    expected = first_step * task.distance.float()
    torch.testing.assert_close((after - before).norm(dim=1), expected, rtol=1e-4, atol=0)


class Kept(nn.Module):
    """Only the largest activations stay: a network that jumps."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> Tensor:
        kept = values.topk(round(self.share * values.shape[1]), dim=1).values[:, -1:]
        return values * (values >= kept)


def test_returning_helps_where_the_network_jumps(digits, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = list(digits.model)
    jumping = nn.Sequential(layers[0], Kept(0.15), layers[2], Kept(0.15), layers[4]).eval()
    with torch.no_grad():
        labels = jumping(digits.images).argmax(dim=1)
    returning = ALMA()(jumping, digits.images[:150], labels[:150]).distance.mean()
    monkeypatch.setattr(alma, "_RETURN_EVERY", 10**9)
    wandering = ALMA()(jumping, digits.images[:150], labels[:150]).distance.mean()
    assert returning < 0.97 * wandering


@pytest.mark.parametrize("targets", [0, 2])
@pytest.mark.parametrize("name", ["digits", "signs"])
def test_companions_in_a_batch_of_the_same_shape_change_no_bit(
    name: str, targets: int, request: pytest.FixtureRequest
) -> None:
    task = request.getfixturevalue(name)
    images, labels = task.correct(48)
    attack = ALMA(steps=60, targets=targets)
    first, second = torch.arange(32), torch.cat([torch.arange(16), torch.arange(32, 48)])
    one, other = (attack(task.model, images[rows], labels[rows]) for rows in (first, second))
    assert torch.equal(one.adversarial[:16], other.adversarial[:16])
    assert not torch.equal(one.adversarial[16:], other.adversarial[16:])
