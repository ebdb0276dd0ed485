"""What optimising attacks descend, against the formulas written out."""

from __future__ import annotations

import pytest
import torch

from robench.attacks.losses import difference_of_logits_ratio, likeliest_others, logit_margin

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
