"""What optimising attacks descend, against the formulas written out."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from robench.attacks.core.losses import (
    difference_of_logits_ratio,
    likeliest_others,
    log_odds,
    logit_margin,
)

LOGITS = torch.tensor([[5.0, 1.0, 3.0, 2.0], [0.0, 4.0, 1.0, 3.0]])
CLASSES = torch.tensor([0, 3])


def test_the_margin_is_positive_while_the_class_is_the_answer() -> None:
    assert logit_margin(LOGITS, CLASSES).tolist() == [2, -1]


def test_the_ratio_divides_by_the_lead_over_the_third() -> None:
    ratio = difference_of_logits_ratio(LOGITS, CLASSES, LOGITS)
    torch.testing.assert_close(ratio, torch.tensor([(5 - 3) / (5 - 2), (3 - 4) / (4 - 1)]))


def test_the_ratio_of_a_target_divides_by_the_lead_over_the_third_and_fourth() -> None:
    ratio = difference_of_logits_ratio(LOGITS, CLASSES, LOGITS, targeted=True)
    torch.testing.assert_close(ratio, torch.tensor([2 / (5 - 1.5), -1 / (4 - 0.5)]))


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_ratio_has_a_gradient_and_no_scale(classes: int, targeted: bool) -> None:
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(6, classes, generator=generator)
    clean = torch.randn(6, classes, generator=generator)
    column = torch.arange(6) % classes
    for factor in (1.0, 1000.0):
        scaled = (factor * logits).requires_grad_()
        ratio = difference_of_logits_ratio(scaled, column, factor * clean, targeted=targeted)
        expected = difference_of_logits_ratio(logits, column, clean, targeted=targeted)
        torch.testing.assert_close(ratio, expected)
        if targeted or classes != 3:  # of three untargeted ones, first and third give a constant
            (gradient,) = torch.autograd.grad(ratio.sum(), scaled)
            assert (gradient.abs().sum(dim=1) > 0).all()


def test_logits_that_are_all_equal_give_numbers() -> None:
    ratio = difference_of_logits_ratio(torch.ones(1, 4), torch.tensor([2]), torch.ones(1, 4))
    assert ratio.item() == 0


def test_the_likeliest_others_come_in_order_and_leave_the_label_out() -> None:
    assert likeliest_others(LOGITS, CLASSES, 2).tolist() == [[2, 3], [1, 2]]


def test_log_odds_have_the_direction_of_the_cross_entropy() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    classes = torch.tensor([0, 1, 2, 3, 4, 0])
    clean = torch.linspace(-10, 10, 5, dtype=torch.float64).expand(6, 5)  # needs no scaling
    odds = log_odds(logits, classes, clean)
    torch.testing.assert_close(
        F.softplus(-odds), F.cross_entropy(logits, classes, reduction="none")
    )
    (ours,) = torch.autograd.grad(odds.sum(), logits, retain_graph=True)
    (theirs,) = torch.autograd.grad(-F.cross_entropy(logits, classes, reduction="sum"), logits)
    torch.testing.assert_close(F.normalize(ours, dim=1), F.normalize(theirs, dim=1))


def test_log_odds_keep_a_gradient_where_the_softmax_saturates_and_have_no_scale() -> None:
    logits = torch.tensor([[200.0, 0.0, 1.0]], requires_grad=True)
    classes = torch.tensor([0])
    odds = log_odds(logits, classes, logits.detach())
    (gradient,) = torch.autograd.grad(odds.sum(), logits)
    assert gradient[0, 0] == pytest.approx(0.1)
    assert gradient[0, 1:].sum().item() == pytest.approx(-0.1)
    with torch.no_grad():
        torch.testing.assert_close(log_odds(1e4 * logits, classes, 1e4 * logits), odds)
        assert log_odds(torch.ones(1, 3), classes, torch.ones(1, 3)).item() == pytest.approx(
            -math.log(2)
        )
