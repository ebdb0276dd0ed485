"""The answers of one network, the gradients of another."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.algorithms.deepfool import DeepFool
from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.oracle import Oracle
from robench.attacks.core.surrogates import (
    Smoothed,
    SurrogateGradient,
    gradient_sources,
    seen_through,
)
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.suites import AttackSuite, Member
from robench.errors import InputError

IMAGES = torch.rand(6, 4, generator=torch.Generator().manual_seed(0))


class Flat(nn.Module):
    """A network without a gradient that offers what it is told to."""

    def __init__(self, model: nn.Module, offered: object = None) -> None:
        super().__init__()
        self.model = model
        self.__dict__["offered"] = offered
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images.detach())

    def surrogate_networks(self) -> object:
        if isinstance(self.offered, Exception):
            raise self.offered
        return self.offered


def linear(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(4, 3).eval()


def test_values_are_the_networks_and_gradients_the_surrogates() -> None:
    model, surrogate = linear(0), linear(1)
    view = SurrogateGradient(model, surrogate)
    leaf = IMAGES.clone().requires_grad_()
    answers = view(leaf)
    assert torch.equal(answers, model(IMAGES))
    (gradient,) = torch.autograd.grad(answers[:, 1].sum(), leaf)
    torch.testing.assert_close(gradient, surrogate.weight[1].expand(6, 4))


def test_a_twin_that_overflows_changes_no_answer() -> None:
    surrogate = nn.Linear(4, 3)
    nn.init.constant_(surrogate.weight, 1e38)
    leaf = (IMAGES * 10).requires_grad_()
    assert surrogate(leaf).isinf().any()
    assert torch.equal(SurrogateGradient(linear(), surrogate)(leaf), linear()(leaf))


def test_a_twin_runs_for_gradients_alone() -> None:
    class Counted(nn.Module):
        calls = 0

        def forward(self, images: Tensor) -> Tensor:
            Counted.calls += 1
            return images[:, :3]

    view = SurrogateGradient(linear(), Counted()).eval()
    oracle = Oracle(replace(check_inputs(linear(), IMAGES, None), model=view, surrogate_passes=1))
    oracle.query(IMAGES, oracle.rows)
    assert Counted.calls == 0
    oracle.gradient(IMAGES, oracle.rows, lambda logits: logits[:, 0])
    assert Counted.calls == 1


def test_a_smooth_surrogate_is_the_mean_over_shifts() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh()).eval()
    smooth = Smoothed(model, IMAGES.shape[1:], draws=4, deviation=0.1)
    torch.testing.assert_close(smooth.shifts.sum(dim=0), torch.zeros(4))
    expected = torch.stack([model(IMAGES + shift) for shift in smooth.shifts]).mean(dim=0)
    torch.testing.assert_close(smooth(IMAGES), expected)
    # Neither the batch nor the time changes it, but for the rounding of another batch size.
    torch.testing.assert_close(smooth(IMAGES[2:3]), smooth(IMAGES)[2:3], rtol=0, atol=1e-6)
    assert torch.equal(smooth(IMAGES), smooth(IMAGES))
    with pytest.raises(InputError, match="draws is 3"):
        Smoothed(model, IMAGES.shape[1:], draws=3)


def test_the_views_of_a_network() -> None:
    plain = check_inputs(linear(), IMAGES, None)
    assert [view.name for view in gradient_sources(plain, smoothed=True)] == ["own"]
    assert seen_through(plain, gradient_sources(plain)[0]) is plain
    inputs = check_inputs(Flat(linear(), {"straight": linear()}), IMAGES, None)
    assert [view.name for view in gradient_sources(inputs)] == ["own", "straight"]
    views = gradient_sources(inputs, smoothed=True)
    assert [(view.name, view.passes) for view in views] == [
        ("own", 0),
        ("straight", 1),
        ("smoothed", 10),
    ]
    seen = seen_through(inputs, views[1])
    assert seen.surrogate_passes == 1
    oracle = Oracle(seen)
    _, gradient = oracle.gradient(IMAGES, oracle.rows, lambda logits: logits[:, 2])
    assert gradient.any()
    torch.testing.assert_close(seen.model(IMAGES), inputs.logits)


def test_a_twin_is_brought_to_the_size_and_kind_of_the_network() -> None:
    softmax = nn.Sequential(linear(), nn.Softmax(dim=1)).eval()
    inputs = check_inputs(Flat(softmax, {"t": softmax}), IMAGES, None)
    surrogate = gradient_sources(inputs)[1].surrogate
    torch.testing.assert_close(surrogate(IMAGES), inputs.logits)

    class Large(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return linear()(images) * 1e6

    large = Large().eval()
    inputs = check_inputs(Flat(large, {"t": large}), IMAGES, None)
    assert inputs.factor < 1e-4
    torch.testing.assert_close(gradient_sources(inputs)[1].surrogate(IMAGES), inputs.logits)


class Narrow(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images[:, :2]


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        (RuntimeError("no"), "raised RuntimeError: no"),
        ([linear()], "returned a list"),
        ({"own": linear()}, "names a surrogate 'own'"),
        ({"": linear()}, "names a surrogate ''"),
        ({3: linear()}, "names a surrogate 3"),
        ({"t": abs}, "surrogate 't' is a builtin_function"),
        ({"t": nn.Linear(4, 3)}, "surrogate 't' is in training mode"),
        ({"t": Narrow().eval()}, r"surrogate 't' answers \(6, 2\)"),
        ({"t": nn.Linear(5, 3).eval()}, "surrogate 't' cannot be used: .*RuntimeError"),
    ],
)
def test_what_cannot_be_used_is_refused(offered: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        gradient_sources(check_inputs(Flat(linear(), offered), IMAGES, None))
    assert "Flat.surrogate_networks()" in str(caught.value)


SUITE = AttackSuite(
    name="mine",
    version=1,
    members=(Member("deepfool"), Member("nearest-other-class", is_gradient_free=True)),
    smoothed=True,
)


def test_a_network_without_gradients_falls_through_its_surrogate(digits) -> None:
    images, labels = digits.correct(20)
    flat = Flat(digits.model, {"itself": digits.model})
    report = minimal_l2(flat, images, labels, SUITE)
    assert report.views == ("own", "itself", "smoothed")
    assert set(report.attacks) == {
        "deepfool", "nearest-other-class", "deepfool@itself", "deepfool@smoothed",
    }  # fmt: skip
    assert report.attacks["deepfool"].distance.isinf().all()
    assert report.attacks["deepfool@itself"].view == "itself"
    # The surrogate is the network itself with its gradient: nothing is lost.
    expected = DeepFool()(digits.model, images, labels).distance
    torch.testing.assert_close(report.attacks["deepfool@itself"].distance, expected)
    assert report.flags["grad0"].raised
    assert report.flags["declared"].value == 2
    assert report.flags["declared"].kind == "note"
    with torch.no_grad():
        assert (digits.model(report.adversarial).argmax(dim=1) != labels).all()


def test_only_suites_that_say_so_follow_the_smoothed_gradient(digits) -> None:
    images, labels = digits.correct(5)
    flat = Flat(digits.model, {"itself": digits.model})
    report = minimal_l2(flat, images, labels, "l2-smoke")
    assert report.views == ("own", "itself")
    assert set(report.attacks) == {"deepfool", "ddn", "deepfool@itself", "ddn@itself"}
    assert report.flags["declared"].value == 1
    assert report.notes == ()


def test_the_method_s_former_name_is_found_with_a_warning() -> None:
    class Former(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = linear()
            self.eval()

        def forward(self, images: Tensor) -> Tensor:
            return self.model(images.detach())

        def attack_views(self) -> object:
            return {"straight": self.model}

    inputs = check_inputs(Former(), IMAGES, None)
    with pytest.warns(DeprecationWarning, match=r"attack_views\(\) is called surrogate_networks"):
        found = gradient_sources(inputs)
    assert [source.name for source in found] == ["own", "straight"]
