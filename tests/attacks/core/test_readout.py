"""Logits behind a softmax, a sigmoid and the like; and the decision as it was."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.readout import (
    AsReturned,
    BeforeLastStep,
    OfProbabilities,
    with_decisions,
)
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.suites import AttackSuite, Member

SHORT = AttackSuite(
    "short",
    1,
    (Member("deepfool", budget=550), Member("ddn", {"steps": 60, "targets": 3}, budget=360)),
)


class Around(nn.Module):
    """A network with a last step."""

    def __init__(self, model: nn.Module, last: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self.last = last
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.model(images))


def by_hand(logits: Tensor) -> Tensor:
    """A softmax that calls none."""
    shifted = 30 * (logits - logits.amax(dim=1, keepdim=True))
    return 2.718281828459045**shifted / (2.718281828459045**shifted).sum(dim=1, keepdim=True)


@pytest.fixture(scope="module")
def plain(digits):
    return minimal_l2(digits.model, *digits.correct(24), SHORT)


SAME_DECISION = {
    "softmax(30 z)": lambda z: (30 * z).softmax(dim=1),
    "softmax(1000 z)": lambda z: F.softmax(1000 * z, dim=1),
    "nn.Softmax": nn.Softmax(dim=1),
    "softmax of another type": lambda z: torch.softmax((30 * z).double(), 1).float(),
    "reshaped": lambda z: (30 * z).softmax(dim=1)[:, :, None].squeeze(2).view(-1, 10),
    "exp(log_softmax)": lambda z: F.log_softmax(30 * z, dim=1).exp(),
    "clamped": lambda z: (3 * z).softmax(dim=1).clamp(1e-7, 1),
    "by hand": by_hand,
    "sigmoid": torch.sigmoid,
    "nn.Sigmoid in place": lambda z: (z / 2).sigmoid_(),
    "two classes at a time": lambda z: torch.stack([z / 2, -z / 2]).softmax(dim=0)[0],
    "log_softmax": nn.LogSoftmax(dim=1),
}
"""Last steps of float32 behind which the largest answer is still that of the largest logit."""


@pytest.mark.parametrize("last", SAME_DECISION)
def test_distances_are_those_of_the_logits(digits, plain, last: str) -> None:
    images, labels = digits.correct(24)
    model = Around(digits.model, SAME_DECISION[last])
    report = minimal_l2(model, images, labels, SHORT)
    assert report.correct.all()
    ratio = report.distance / plain.distance
    assert ratio.max() < 1.01
    assert ratio.min() > 0.99
    assert report.flags["probs"].raised == (last != "log_softmax")
    assert not report.flags["saturated"].raised
    with torch.no_grad():
        assert (model(report.adversarial).argmax(dim=1) != labels).all()


def test_a_scripted_softmax_is_undone_in_double_precision(digits, plain) -> None:
    images, labels = digits.correct(24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.jit.trace(Around(digits.model, SAME_DECISION["softmax(30 z)"]), images[:2])
    inputs = check_inputs(model, images, labels)
    assert inputs.model.readout.double is not None
    report = minimal_l2(model, images, labels, SHORT)
    torch.testing.assert_close(report.distance, plain.distance, rtol=0.01, atol=0)
    assert not report.flags["saturated"].raised


def test_what_cannot_be_undone_is_flagged(digits) -> None:
    images, labels = digits.correct(24)

    class InSingle(nn.Module):
        """Works in float32 whatever it is given, and hides its last step."""

        def forward(self, images: Tensor) -> Tensor:
            return by_hand(5 * digits.model(images.float()))

    report = minimal_l2(InSingle().eval(), images, labels, SHORT)
    assert report.flags["saturated"].raised
    assert report.flags["saturated"].kind == "warning"


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (lambda z: z, AsReturned),
        (lambda z: z.log_softmax(dim=1), AsReturned),
        (lambda z: z.clamp(0, 1), AsReturned),
        (lambda z: torch.stack([z[:, 0] / 40 + 0.5, 0.5 - z[:, 0] / 40], dim=1), AsReturned),
        (lambda z: z.sigmoid() * 3 - 1, AsReturned),
        (lambda z: z.softmax(dim=1), BeforeLastStep),
        (lambda z: z.tanh(), BeforeLastStep),
        (by_hand, OfProbabilities),
        (lambda z: 1 / (1 + 2.718281828459045**-z), OfProbabilities),
    ],
)
def test_what_is_recognised(digits, last: Callable[[Tensor], Tensor], kind: type) -> None:
    model = Around(digits.model, last)
    readout = check_inputs(model, digits.images[:40], None).model.readout
    if last(torch.tensor([[-5.0, 5.0]])).tolist() == [[0, 1]]:
        kind = OfProbabilities  # a clamp to [0, 1] cannot be told from one by what it returns
    assert type(readout) is kind


def test_a_softmax_in_the_middle_is_no_last_step(digits) -> None:
    model = Around(digits.model, lambda z: z.softmax(dim=1) @ torch.randn(10, 4))
    torch.manual_seed(0)
    fixed = torch.randn(10, 4)
    model.last = lambda z: z.softmax(dim=1) @ fixed
    assert type(check_inputs(model, digits.images[:20], None).model.readout) is AsReturned


def test_saturated_ties_are_decided_as_the_network_decides(digits) -> None:
    model = Around(digits.model, lambda z: (10 * z).sigmoid())
    images = digits.images[:100]
    with torch.no_grad():
        answers = model(images)
    assert ((answers == 1).sum(dim=1) > 1).any()  # so that the argmax takes the first of them
    inputs = check_inputs(model, images, None)
    assert torch.equal(inputs.logits.argmax(dim=1), answers.argmax(dim=1))
    report = minimal_l2(model, images[:20], answers[:20].argmax(dim=1), SHORT)
    assert "saturated answers of the model tie" in report.notes[-1]
    found = report.distance.isfinite()
    with torch.no_grad():
        fooled = model(report.adversarial[found]).argmax(dim=1) != answers[:20][found].argmax(dim=1)
    assert fooled.all()


def test_lifting_keeps_gradients_and_answers_that_are_no_numbers() -> None:
    logits = torch.tensor([[3.0, 5.0], [2.0, 1.0], [1e6, 1e6 + 1], [0.0, 1.0]], requires_grad=True)
    answers = torch.tensor([[1.0, 1.0], [0.9, 0.1], [1.0, 1.0], [torch.nan, 1.0]])
    lifted = with_decisions(logits, answers)
    assert lifted[:3].argmax(dim=1).tolist() == [0, 0, 0]
    assert lifted[1].tolist() == [2, 1]
    assert lifted[3].isnan().all()
    (gradient,) = torch.autograd.grad(lifted[:3, 0].sum(), logits)
    assert gradient[:3].tolist() == [[1, 0]] * 3
