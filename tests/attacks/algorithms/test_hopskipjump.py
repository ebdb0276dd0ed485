"""A walk along the boundary that sees nothing but answers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robench.attacks.algorithms.hopskipjump import HopSkipJump
from robench.attacks.core.inputs import check_inputs


class Answers(nn.Module):
    """Only the answer of a linear model, and no gradient."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images.detach())
        return nn.functional.one_hot(logits.argmax(dim=1), logits.shape[1]).to(images)


def test_the_foot_of_the_perpendicular_is_found(linear) -> None:
    task = linear(2)
    result = HopSkipJump(steps=25)(
        Answers(task.model).eval(), task.images, task.labels, box=False, references=START
    )
    ratio = result.distance / task.distance
    assert ratio.min() > 1 - 1e-4
    assert ratio.median() < 1.05
    assert not result.backwards.any()


START = torch.rand(400, 20, generator=torch.Generator().manual_seed(5))


def test_it_beats_the_ray_that_it_starts_on(digits) -> None:
    images, labels = digits.correct(20)
    inputs = check_inputs(digits.model, images, labels, references=digits.images)
    short = HopSkipJump(steps=1).attack(inputs).distance
    long = HopSkipJump(steps=8).attack(inputs).distance
    assert (long <= short).all()
    assert long.median() < 0.85 * short.median()


def test_neither_order_nor_batch_changes_what_is_found(digits) -> None:
    images, labels = digits.correct(6)
    attack = HopSkipJump(steps=3)
    whole = attack(digits.model, images, labels, references=digits.images)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    shuffled = attack(
        digits.model, images[order], labels[order], references=digits.images, batch_size=2
    )
    torch.testing.assert_close(shuffled.distance, whole.distance[order], rtol=1e-3, atol=0)


def test_without_an_image_of_another_class_nothing_is_found(digits) -> None:
    images, labels = digits.correct(1)
    result = HopSkipJump(steps=2)(digits.model, images, labels)
    assert result.distance.isinf().all()
    assert not result.passes.any()


def test_probes_and_what_they_cost(linear) -> None:
    task = linear(2)
    one = {"references": START, "box": False}
    first, grown = (
        HopSkipJump(steps=2, probes=10, growth=growth)(
            task.model, task.images, task.labels, **one
        ).passes
        for growth in (0.0, 1.0)
    )
    # The second estimate has twice as many probes; steps that are halved more often cost the same.
    assert ((grown - first) >= 10 - 9).all()
    assert ((grown - first) <= 10 + 9).all()


def test_an_image_that_gets_no_nearer_is_done(linear) -> None:
    task = linear(2)
    long = HopSkipJump(steps=30, probes=60, patience=2)
    result = long(task.model, task.images, task.labels, references=START, box=False)
    without = HopSkipJump(steps=30, probes=60, patience=30)
    more = without(task.model, task.images, task.labels, references=START, box=False)
    assert (result.passes < more.passes).all()
    assert (result.distance <= 1.01 * task.distance).double().mean() > 0.8
