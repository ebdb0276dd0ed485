"""The fence around a network: types, autocast, in-place operations, functions, wrong images."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robench.attacks import ATTACKS
from robench.attacks.algorithms.deepfool import DeepFool
from robench.attacks.core.base import Attack
from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.network import AttackedModel, without_autocast
from robench.attacks.core.oracle import Oracle
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.suites import AttackSuite, Member
from robench.attacks.suite.verify import verify_claim
from robench.errors import AttackError, InputError

SHORT = AttackSuite(
    "short",
    1,
    (Member("deepfool", budget=550), Member("ddn", {"steps": 60, "targets": 3}, budget=360)),
)


class After(nn.Module):
    """A network with something done to its answers."""

    def __init__(self, model: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self.change = change
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.change(self.model(images))


@pytest.fixture(scope="module")
def plain(digits):
    """What the suite finds on the network in float32."""
    return minimal_l2(digits.model, *digits.correct(24), SHORT)


# A boundary in half precision is a strip of ties as wide as the rounding of the logits.
KINDS = {
    "half": (lambda model: copy.deepcopy(model).half(), 0.02),
    "bfloat16": (lambda model: copy.deepcopy(model).bfloat16(), 0.1),
    "float64": (lambda model: copy.deepcopy(model).double(), 0.01),
    "bfloat16 logits": (lambda model: After(model, lambda logits: logits.bfloat16()), 0.1),
    "half logits": (lambda model: After(model, lambda logits: logits.half()), 0.02),
    "float64 logits": (lambda model: After(model, lambda logits: logits.double()), 0.01),
    "autocast inside": (
        lambda model: After(model, torch.autocast("cpu", dtype=torch.bfloat16)(lambda z: z @ EYE)),
        0.1,
    ),
}
EYE = torch.eye(10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_in_another_type_has_the_distances_of_float32(digits, plain, kind: str) -> None:
    make, tolerance = KINDS[kind]
    images, labels = digits.correct(24)
    report = minimal_l2(make(digits.model), images, labels, SHORT)
    kept = report.correct
    assert kept.sum() >= 22
    assert report.distance.isfinite().all()
    assert not report.flags["crashed"].raised
    ratio = report.distance[kept] / plain.distance[kept]
    assert ratio.median() == pytest.approx(1, abs=tolerance / 2)
    assert ratio.max() < 1 + 3 * tolerance
    # The decisions are those of the network as given.
    model = make(digits.model)
    taken = next(model.parameters()).dtype
    with torch.no_grad():
        assert (model(report.adversarial.to(taken)).argmax(dim=1) != labels).all()


def test_autocast_around_the_evaluation_belongs_to_the_network(digits, plain) -> None:
    images, labels = digits.correct(24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        report = minimal_l2(digits.model, images, labels, SHORT)
        model = check_inputs(digits.model, images, labels).model
    assert report.distance.isfinite().all()
    assert "half precision" in report.notes[0]
    assert model.precision.autocast == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        expected = digits.model(images).float()
    torch.testing.assert_close(model(images).detach(), expected, rtol=0, atol=0)
    with torch.autocast("cpu"), without_autocast(torch.device("cpu")):
        assert (EYE @ EYE).dtype == torch.float32


# -- attacks that crash ---------------------------------------------------------------------------


@pytest.fixture
def crashing(monkeypatch):
    """An attack that raises at once, and one that raises where a part of the images is done."""
    monkeypatch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))

    class Crash(Attack):
        name = "crash"

        def run(self, oracle: Oracle) -> Tensor:
            raise ValueError("no such thing")

    class CrashLate(Attack):
        name = "crash-late"

        def run(self, oracle: Oracle) -> Tensor:
            if len(oracle.images) < 8:
                raise ValueError("too few")
            return DeepFool().run(oracle)

    for kind in (Crash, CrashLate):
        ATTACKS.add(kind.name, kind, source="a test")


def test_where_every_attack_crashed_nothing_is_known(digits, crashing) -> None:
    images, labels = digits.correct(6)
    # The other one has nothing to try, asks nothing, and raises nothing.
    suite = AttackSuite("mine", 1, (Member("crash"), Member("nearest-other-class", label="none")))
    same = images[:1].expand(6, -1), labels[:1].expand(6)
    with pytest.raises(AttackError, match="'crash' raised ValueError: no such thing"):
        minimal_l2(digits.model, *same, suite)
    # The last batch is all that it crashed on.
    suite = AttackSuite("mine", 1, (Member("crash-late"),))
    with pytest.raises(AttackError, match="too few"):
        minimal_l2(digits.model, *digits.correct(10), suite, batch_size=8)


def test_where_some_attacks_crashed_a_flag_says_so(digits, crashing) -> None:
    images, labels = digits.correct(6)
    suite = AttackSuite("mine", 1, (Member("crash"), Member("deepfool")))
    report = minimal_l2(digits.model, images, labels, suite)
    assert report.flags["crashed"].value == 0.5
    assert report.flags["crashed"].kind == "warning"
    assert report.distance.isfinite().all()


def test_images_that_need_no_attack_are_no_crash(digits, crashing) -> None:
    images, labels = digits.correct(4)
    suite = AttackSuite("mine", 1, (Member("crash"),))
    report = minimal_l2(digits.model, images, (labels + 1) % 10, suite)
    assert (report.distance == 0).all()


# -- nothing is written through -------------------------------------------------------------------


class InPlace(nn.Module):
    """Normalises its input where it lies."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images.clamp_(0, 1).sub_(0.5).mul_(2))


class SameMemory(nn.Module):
    """Returns the same tensor at every call, as a captured graph does."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.answers: dict[int, Tensor] = {}
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        if torch.is_grad_enabled():
            return logits
        kept = self.answers.setdefault(len(logits), torch.empty_like(logits))
        return kept.copy_(logits)


@pytest.mark.parametrize("box", [True, False])
def test_a_network_may_write_into_its_input(digits, box: bool) -> None:
    images, labels = digits.correct(12)
    before = images.clone()
    report = minimal_l2(InPlace(digits.model), images, labels, SHORT, box=box)
    clean = After(digits.model, lambda logits: logits)
    clean.forward = lambda images: digits.model((images.clamp(0, 1) - 0.5) * 2)
    expected = minimal_l2(clean, images, labels, SHORT, box=box)
    assert torch.equal(report.distance, expected.distance)
    assert torch.equal(images, before)
    assert verify_claim(
        InPlace(digits.model), images, labels, report.adversarial, report.distance, box=box
    ).holds.all()


def test_a_network_may_return_the_same_memory_again(digits) -> None:
    images, labels = digits.correct(12)
    expected = minimal_l2(digits.model, images, labels, SHORT, batch_size=4)
    report = minimal_l2(SameMemory(digits.model), images, labels, SHORT, batch_size=4)
    assert torch.equal(report.distance, expected.distance)


def test_an_attack_that_writes_everywhere_changes_no_other(digits, monkeypatch) -> None:
    class Vandal(Attack):
        name = "vandal"

        def run(self, oracle: Oracle) -> Tensor:
            if oracle.transferred is not None:
                oracle.transferred.fill_(0.5)
            for tensor in (oracle.references, oracle.images, oracle.starts, oracle.best):
                tensor.fill_(0.5)
            oracle.reference_classes.fill_(0)
            oracle.labels.fill_(0)
            oracle.logits.fill_(0)
            oracle.query(oracle.images, oracle.rows).fill_(7)
            oracle.surest.fill_(0.5)
            return oracle.images

    monkeypatch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))
    ATTACKS.add("vandal", Vandal, source="a test")
    images, labels = digits.correct(20)
    members = (Member("nearest-other-class"), Member("transfer"), Member("deepfool"))
    more = {"transferred": 1 - images, "references": digits.images, "batch_size": 5}
    alone = minimal_l2(digits.model, images, labels, AttackSuite("m", 1, members), **more)
    suite = AttackSuite("m", 1, (Member("vandal"), *members))
    beside = minimal_l2(digits.model, images, labels, suite, **more)
    for key in ("nearest-other-class", "transfer", "deepfool"):
        assert torch.equal(beside.attacks[key].distance, alone.attacks[key].distance), key
    without = {"batch_size": 5}
    alone = minimal_l2(digits.model, images, labels, AttackSuite("m", 1, members), **without)
    beside = minimal_l2(digits.model, images, labels, suite, **without)
    key = "nearest-other-class"
    assert torch.equal(beside.attacks[key].distance, alone.attacks[key].distance)


# -- functions ------------------------------------------------------------------------------------


def test_a_function_is_a_model(digits, plain) -> None:
    images, labels = digits.correct(24)
    report = minimal_l2(lambda images: digits.model(images) * 1, images, labels, SHORT)
    torch.testing.assert_close(report.distance, plain.distance, rtol=1e-3, atol=0)
    half = copy.deepcopy(digits.model).bfloat16()
    assert minimal_l2(lambda x: half(x) * 1, images, labels, SHORT).distance.isfinite().all()
    result = DeepFool()(digits.model.forward, images, labels)
    assert torch.equal(result.distance, DeepFool()(digits.model, images, labels).distance)
    claim = verify_claim(digits.model.forward, images, labels, result.adversarial, result.distance)
    assert claim.is_fooled.float().mean() > 0.9


def test_a_method_of_a_network_in_training_mode_is_refused(digits) -> None:
    model = nn.Sequential(digits.model, nn.Dropout())
    with pytest.raises(InputError, match="a method of a Sequential in training mode"):
        minimal_l2(model.forward, *digits.correct(4))


def test_a_network_made_under_inference_mode_has_gradients(digits, plain) -> None:
    with torch.inference_mode():
        model = copy.deepcopy(digits.model)
    assert next(model.parameters()).is_inference()
    report = minimal_l2(model, *digits.correct(24), SHORT)
    assert torch.equal(report.distance, plain.distance)


# -- images that do not fit -----------------------------------------------------------------------


def convolutions(dtype: torch.dtype = torch.float32) -> nn.Module:
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5)]
    return nn.Sequential(*layers).to(dtype).eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(
    ("shape", "where", "allowed"),
    [
        ((2, 1, 8, 8), r"0 \(Conv2d\)", "3 channels, not 1"),
        ((2, 3, 9, 9), r"4 \(Linear\)", "144 features, not 196"),
        ((2, 3), r"0 \(Conv2d\)", None),
    ],
)
def test_images_that_do_not_fit_are_refused_with_what_does(dtype, shape, where, allowed) -> None:
    images, labels = torch.rand(shape), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(InputError, match="the model raises RuntimeError for images") as caught:
        minimal_l2(convolutions(dtype), images, labels)
    if allowed is not None:
        assert caught.match(where)
        assert caught.match(allowed)


def test_parameters_on_a_device_that_holds_none_are_refused() -> None:
    with pytest.raises(InputError, match="parameters are on the device 'meta'"):
        minimal_l2(convolutions().to("meta"), torch.rand(2, 3, 8, 8), torch.zeros(2).long())


def test_a_network_that_fails_on_one_image_alone_is_refused_at_once(digits) -> None:
    squeezed = After(digits.model, lambda logits: logits.squeeze())
    with pytest.raises(InputError, match=r"returns \(10,\), not logits"):
        minimal_l2(squeezed, *digits.correct(4))


def test_a_rescaled_network_decides_as_before() -> None:
    generator = torch.Generator().manual_seed(0)
    close = 1 + torch.randint(0, 3, (4000, 3), generator=generator) * torch.finfo().eps
    model = AttackedModel(nn.Identity(), factor=2.0**-9)
    assert torch.equal(model(close).argmax(dim=1), close.argmax(dim=1))
    factor = check_inputs(After(nn.Flatten(), lambda z: z * 12345.0), torch.rand(9, 4), None).factor
    assert torch.tensor(factor).log2().frac() == 0
    assert factor < 1
