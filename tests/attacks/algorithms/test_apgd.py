"""APGD: checkpoints of the paper, radii, and what each image costs."""

from __future__ import annotations

import torch

from robench.attacks.algorithms.apgd import APGD, _checkpoints, _Search
from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.oracle import Oracle
from robench.attacks.core.targets import Targets


def test_checkpoints_are_those_of_the_paper() -> None:
    # p = 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99
    assert sorted(_checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert sorted(_checkpoints(20)) == [5, 9, 12, 14, 16, 18, 19, 20]
    assert _checkpoints(1) == {1}


def test_a_linear_model_costs_few_passes(linear) -> None:
    task = linear(2)
    result = APGD(bisections=2)(task.model, task.images, task.labels, box=False)
    assert result.success.all()
    # The first radius is that of the boundary itself, where rounding decides; the second is more.
    assert (result.distance < 2.001 * task.distance).all()
    assert (result.forwards <= 1 + 2 * 21).all()
    assert result.forwards.double().mean() < 30
    assert torch.equal(result.forwards, result.backwards)


def test_more_radii_come_closer(digits) -> None:
    images, labels = digits.correct(40)
    distances = [
        APGD(bisections=count)(digits.model, images, labels).distance for count in (3, 6, 12)
    ]
    assert distances[0].mean() > distances[1].mean() > distances[2].mean()
    assert distances[1].isfinite().all()


def search(digits) -> tuple[Oracle, _Search]:
    images, labels = digits.correct(6)
    oracle = Oracle(check_inputs(digits.model, images, labels))
    return oracle, _Search.start(oracle, Targets.of(oracle, 0), torch.full((6,), 0.2))


def test_a_step_of_the_radius_stays_in_the_ball_and_lowers_the_loss(digits) -> None:
    oracle, found = search(digits)
    before = found.loss.clone()
    found.step = found.radius
    found.move(oracle, 1.0)
    length = (found.points - oracle.images).norm(dim=1)
    assert (length <= 0.2 * (1 + 1e-5)).all()
    assert (length > 0.05).all()
    loss = Targets.of(oracle, 0).ratio(oracle.query(found.points, oracle.rows))
    assert (loss < before).sum() >= 5  # the linear estimate may mislead one


def test_a_search_that_does_not_get_on_goes_back_with_half_the_step(digits) -> None:
    _, found = search(digits)
    best, step = found.best.clone(), found.step.clone()
    found.points = torch.zeros_like(found.points)
    lower = torch.tensor([True, False, False, False, False, False])
    found.record(torch.where(lower, found.loss - 1, found.loss + 1), found.gradient)
    found.adapt(1)
    # The first image got on in its only step; the others went up.
    torch.testing.assert_close(found.step, torch.where(lower, step, step / 2))
    assert torch.equal(found.points[1:], best[1:])
    assert (found.points[0] == 0).all()
    assert (found.successes == 0).all()
