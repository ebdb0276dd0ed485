"""The harness against networks that are broken on purpose, and against some that are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robench.attacks import ATTACKS
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.suites import AttackSuite, Member
from robench.errors import InputError


class Around(nn.Module):
    """A model with something done to its input and to its output."""

    def __init__(
        self,
        model: nn.Module,
        before: Callable[[Tensor], Tensor] = lambda images: images,
        after: Callable[[Tensor], Tensor] = lambda logits: logits,
    ) -> None:
        super().__init__()
        self.model = model
        self.before = before
        self.after = after
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.model(self.before(images)))


def warnings(report) -> set[str]:
    return {name for name in report.raised if report.flags[name].kind == "warning"}


def suite_of(*members: Member) -> AttackSuite:
    return AttackSuite("mine", 1, members)


ATTACKS_WITH_GRADIENTS = [
    Member(n) for n in ("alma", "apgd", "ddn", "deepfool", "fmn", "superdeepfool")
]
# Who leaves its class for any of nine may not meet the nearest.
OF_EVERY_CLASS = [
    Member("alma", {"targets": 9}),
    Member("ddn", {"targets": 9}),
    Member("deepfool"),
    Member("superdeepfool"),
]


@pytest.mark.parametrize(
    ("classes", "members"), [(2, ATTACKS_WITH_GRADIENTS), (10, OF_EVERY_CLASS)]
)
def test_a_linear_model_is_solved_by_every_attack(linear, classes: int, members) -> None:
    task = linear(classes)
    for member in members:
        report = minimal_l2(task.model, task.images, task.labels, suite_of(member), box=False)
        ratio = report.distance / task.distance
        assert ratio.min() > 1 - 1e-4, member.attack
        assert ratio.max() < 1.02, member.attack


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_linear_model_is_solved_by_the_suite(linear, classes: int) -> None:
    task = linear(classes)
    report = minimal_l2(task.model, task.images, task.labels, box=False)
    assert (report.distance / task.distance).max() < 1.001
    assert not warnings(report)


def test_a_sound_network_raises_no_warning(digits) -> None:
    report = minimal_l2(digits.model, digits.images[:100], digits.labels[:100])
    assert not warnings(report)
    assert report.raised == ()


def test_a_network_without_a_gradient(digits) -> None:
    images, labels = digits.correct(20)
    cut = Around(digits.model, before=lambda images: images.detach())
    report = minimal_l2(cut, images, labels)
    assert {"grad0", "bbwins"} <= warnings(report)
    assert "df-gap" in report.raised
    assert report.flags["grad0"].value == 1


def test_probabilities_are_noted_and_change_nothing(digits, short) -> None:
    images, labels = digits.correct(40)
    softmax = Around(digits.model, after=lambda logits: logits.softmax(dim=1))
    report = minimal_l2(softmax, images, labels, short)
    plain = minimal_l2(digits.model, images, labels, short)
    assert report.raised == ("probs",)
    assert report.flags["probs"].kind == "note"
    torch.testing.assert_close(report.distance, plain.distance, rtol=0.02, atol=0)


@pytest.mark.parametrize("factor", [1000.0, 1e-4])
def test_logits_of_any_size_give_the_same_distances(digits, short, factor: float) -> None:
    images, labels = digits.correct(40)
    scaled = Around(digits.model, after=lambda logits: logits * factor)
    report = minimal_l2(scaled, images, labels, short)
    plain = minimal_l2(digits.model, images, labels, short)
    assert report.raised == ("scale",)
    assert report.flags["scale"].value == pytest.approx(plain.flags["scale"].value * factor)
    torch.testing.assert_close(report.distance, plain.distance, rtol=0.02, atol=0)


@pytest.mark.parametrize("name", [pytest.param("winners", marks=pytest.mark.slow), "signs"])
def test_a_discontinuous_network(name: str, request) -> None:
    task = request.getfixturevalue(name)
    report = minimal_l2(task.model, task.images[:40], task.labels[:40])
    assert {"rayslack", "single"} <= warnings(report)
    # That DeepFool alone would mislead is no reason to doubt the best of all attacks.
    assert "df-gap" in report.raised
    assert report.flags["df-gap"].kind == "note"


def test_noise_in_the_network(digits) -> None:
    generator = torch.Generator().manual_seed(0)
    noisy = Around(
        digits.model,
        before=lambda images: images + 0.01 * torch.randn(images.shape, generator=generator),
    )
    images, labels = digits.correct(16)
    with pytest.raises(InputError, match="the model is stochastic"):
        minimal_l2(noisy, images, labels)
    report = minimal_l2(noisy, images, labels, "l2-smoke", allow_stochastic=True)
    assert "mode" in warnings(report)
    assert report.flags["mode"].value > report.flags["mode"].threshold


def test_training_mode_is_refused(digits) -> None:
    model = nn.Sequential(digits.model, nn.Dropout())
    model[1].train()
    images, labels = digits.correct(4)
    with pytest.raises(InputError, match="in training mode, for instance"):
        minimal_l2(model, images, labels)


def test_data_on_the_edge_of_the_box(digits) -> None:
    images, labels = digits.images.round(), digits.labels
    with torch.no_grad():
        kept = (digits.model(images).argmax(dim=1) == labels).nonzero().flatten()[:60]
    assert ((images == 0) | (images == 1)).all()
    result = ATTACKS.get("fmn")()(digits.model, images[kept], labels[kept])
    assert result.success.all()


def test_the_batch_size_changes_nothing(digits, short) -> None:
    images, labels = digits.images[:6], digits.labels[:6]
    whole = minimal_l2(digits.model, images, labels, short, batch_size=64)
    single = minimal_l2(digits.model, images, labels, short, batch_size=1)
    torch.testing.assert_close(single.distance, whole.distance, rtol=1e-3, atol=0)
    assert torch.equal(single.passes, whole.passes)
    for key, member in single.attacks.items():
        torch.testing.assert_close(
            member.distance_on_ray, whole.attacks[key].distance_on_ray, rtol=1e-3, atol=0
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images * 2 - 0.5, r"leave \[0, 1\]"),
        (lambda images: images * torch.nan, r"leave \[0, 1\].*value nan"),
        (lambda images: images * 255, r"leave \[0, 1\]"),
    ],
)
def test_images_out_of_range_are_refused(digits, change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        minimal_l2(digits.model, change(digits.images[:8]), digits.labels[:8])


def test_one_class_is_too_few(digits) -> None:
    single = Around(digits.model, after=lambda logits: logits[:, :1])
    with pytest.raises(InputError, match="at least two classes"):
        minimal_l2(single, digits.images[:8], digits.labels[:8])


def test_a_pruned_network_raises_no_warning(pruned) -> None:
    hidden = (pruned.model[0].weight, pruned.model[2].weight)
    assert all((weight == 0).double().mean() > 0.949 for weight in hidden)
    report = minimal_l2(pruned.model, pruned.images[:100], pruned.labels[:100])
    assert not warnings(report)
