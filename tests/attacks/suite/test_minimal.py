"""The whole suite: the best of all attacks, verified, whatever the batch."""

from __future__ import annotations

import copy
import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

import robench
from robench.attacks import ATTACKS
from robench.attacks.algorithms.deepfool import DeepFool
from robench.attacks.core.base import Attack
from robench.attacks.core.oracle import Oracle
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.suites import AttackSuite, Member
from robench.errors import InputError, UnknownNameError

OWN = ("deepfool", "alma", "alma-targeted", "fab", "nearest-other-class")
ATTACK_OF = {"refinement": "hopskipjump", "alma-targeted": "alma"}


@pytest.fixture
def plugged(monkeypatch):
    """Makes attacks of functions for the time of a test, and a suite of them and DeepFool."""

    def plug(**functions) -> AttackSuite:
        entries = dict(ATTACKS._entries)
        monkeypatch.setattr(ATTACKS, "_entries", entries)
        for name, function in functions.items():

            def run(self, oracle: Oracle, function=function) -> Tensor:
                return function(oracle)

            ATTACKS.add(name, type(name, (Attack,), {"name": name, "run": run}), source="a test")
        members = [Member(name) for name in functions]
        return AttackSuite("mine", 1, (*members, Member("deepfool")))

    return plug


def test_a_report_is_consistent(digits) -> None:
    report = minimal_l2(digits.model, digits.images[:100], digits.labels[:100])
    images, labels = digits.images[:100], digits.labels[:100]
    with torch.no_grad():
        correct = digits.model(images).argmax(dim=1) == labels
        fooled = digits.model(report.adversarial).argmax(dim=1) != labels
    assert torch.equal(report.correct, correct)
    assert 0 < correct.sum() < 100
    assert fooled.all()
    assert report.adversarial.min() >= 0
    assert report.adversarial.max() <= 1
    true = (report.adversarial.double() - images.double()).norm(dim=1)
    torch.testing.assert_close(report.distance, true)
    torch.testing.assert_close(report.norm, images.double().norm(dim=1))
    assert (report.distance[~correct] == 0).all()
    assert torch.equal(report.adversarial[~correct], images[~correct])
    assert (report.passes[~correct] == 0).all()
    assert [name == "misclassified" for name in report.winner] == (~correct).tolist()
    assert report.suite == "l2-quick/2"
    assert (report.seed, report.box, report.notes) == (0, True, ())
    assert set(report.attacks) == {*OWN, "refinement"}
    assert torch.equal(report.passes, sum(part.passes for part in report.attacks.values()))
    assert report.allowed == sum(part.allowed for part in report.attacks.values())
    assert (report.views, report.checks) == (("own",), None)
    assert sum(part.wins for part in report.attacks.values()) == pytest.approx(1)
    assert (report.margin[correct] > 0).all()
    assert (report.margin[~correct] == 0).all()
    for key, part in report.attacks.items():
        assert part.error is None
        assert part.attack == ATTACK_OF.get(key, key)
        assert (part.view, part.out_of_bounds) == ("own", 0)
        assert 0 < part.optimality <= 1
        assert (part.passes <= part.allowed).all()
        assert (part.distance_on_ray <= part.distance).all()
        assert (report.distance <= part.distance * 1.0011).all()
    on_ray = 0
    for row, name in enumerate(report.winner):
        if name != "misclassified":
            own = report.attacks[name]
            short, long = own.distance_on_ray[row].item(), own.distance[row].item()
            own_distance = report.distance[row].item()
            assert short * (1 - 1e-9) <= own_distance <= long * 1.0011
            on_ray += own_distance <= short * 1.00002
    # Hardly any point flips back when it is asked again, or it is lengthened a little.
    assert on_ray >= correct.sum() - 2


def test_a_point_that_flips_back_makes_way_for_the_one_before_bisection(plugged) -> None:
    class Rounded(nn.Module):
        """The boundary lies at 0.5 in float32, and at 0.55 in float64."""

        def forward(self, images: Tensor) -> Tensor:
            boundary = 0.5 if images.dtype == torch.float32 else 0.55
            return torch.stack([boundary - images[:, 0], images[:, 0] - boundary], dim=1)

    images = torch.full((5, 1), 0.2)
    suite = plugged(far=lambda oracle: torch.full_like(oracle.images, 0.8))
    labels = torch.zeros(5, dtype=torch.int64)
    report = minimal_l2(Rounded().eval(), images, labels, suite)
    far = report.attacks["far"]
    assert far.distance_on_ray.tolist() == pytest.approx([0.3] * 5, abs=1e-3)
    assert report.distance.tolist() == pytest.approx([0.6] * 5)
    assert set(report.winner) == {"far"}
    # It cost a longer distance, but no image.
    assert report.flags["precision"].value == 0


@pytest.mark.parametrize("suite", ["l2-quick", "l2-smoke"])
@pytest.mark.parametrize("classes", [2, 10])
def test_a_linear_model_is_solved(linear, classes: int, suite: str) -> None:
    task = linear(classes)
    report = minimal_l2(task.model, task.images, task.labels, suite, box=False)
    ratio = report.distance / task.distance
    assert ratio.min() > 1 - 1e-4
    assert ratio.max() < 1.02
    assert not report.box


def test_the_order_does_not_matter(digits, short) -> None:
    images, labels = digits.images[:40], digits.labels[:40]
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    straight = minimal_l2(digits.model, images, labels, short)
    shuffled = minimal_l2(digits.model, images[order], labels[order], short, batch_size=16)
    torch.testing.assert_close(shuffled.distance, straight.distance[order], rtol=1e-3, atol=0)


def test_an_attack_that_raises_is_recorded_and_the_others_count(digits, plugged) -> None:
    def raises(oracle: Oracle) -> Tensor:
        oracle.query(1 - oracle.images, oracle.rows)
        raise RuntimeError("no luck")

    images, labels = digits.correct(20)
    suite = plugged(raises=raises)
    report = minimal_l2(digits.model, images, labels, suite, batch_size=8)
    assert report.attacks["raises"].error == "raised RuntimeError: no luck"
    assert "'raises' raised RuntimeError: no luck" in report.notes[0]
    assert report.attacks["deepfool"].error is None
    expected = DeepFool()(digits.model, images, labels).distance
    assert (report.distance <= expected * (1 + 1e-3)).all()
    # What it saw before it broke is worth something, and is verified like all else.
    assert report.attacks["raises"].distance.isfinite().any()
    assert (report.attacks["raises"].forwards >= 1).all()


def test_an_attack_that_lies_wins_nothing(digits, plugged) -> None:
    def lies(oracle: Oracle) -> Tensor:
        oracle.best_distance.zero_()
        oracle.best = oracle.images.clone()
        return oracle.images + 1e-5

    images, labels = digits.correct(20)
    report = minimal_l2(digits.model, images, labels, plugged(lies=lies))
    assert set(report.winner) == {"deepfool"}
    assert report.attacks["lies"].distance.isinf().all()
    with torch.no_grad():
        assert (digits.model(report.adversarial).argmax(dim=1) != labels).all()


class Partial(nn.Module):
    """Answers NaN to whatever lies on the other side of the boundary."""

    def __init__(self, model: nn.Module, labels: Tensor, share: float) -> None:
        super().__init__()
        self.model = model
        self.share = share

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        odd = (logits.argmax(dim=1) % 2 == 1)[:, None]
        return torch.where(odd & (images.mean() >= self.share), torch.nan, logits)


def test_answers_that_are_not_numbers_are_no_adversarials(digits, short) -> None:
    images, labels = digits.correct(40)
    even = labels % 2 == 0
    model = Partial(digits.model, labels, 0.0).eval()
    report = minimal_l2(model, images[even], labels[even], short)
    found = report.distance.isfinite()
    assert found.any()
    with torch.no_grad():
        answers = model(report.adversarial[found])
    assert answers.isfinite().all()
    assert (answers.argmax(dim=1) % 2 == 0).all()
    plain = minimal_l2(digits.model, images[even], labels[even], short)
    assert report.distance.mean() > plain.distance.mean()


def test_a_model_that_answers_nan_to_clean_images_is_refused(digits) -> None:
    broken = nn.Linear(64, 10).eval()
    nn.init.constant_(broken.weight, torch.nan)
    with pytest.raises(InputError, match="8 of 8 clean images with NaN"):
        minimal_l2(broken, digits.images[:8], digits.labels[:8])


def test_a_model_that_is_always_wrong(digits) -> None:
    images, labels = digits.correct(8)
    report = minimal_l2(digits.model, images, (labels + 1) % 10)
    assert (report.distance == 0).all()
    assert set(report.winner) == {"misclassified"}
    assert (report.passes == 0).all()
    assert torch.equal(report.adversarial, images)
    assert not {"grad0", "unbounded", "df-gap", "rayslack", "precision"} & set(report.raised)


def test_images_with_channels(digits) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(36, 3),
    ).eval()  # fmt: skip
    images = torch.rand(12, 2, 8, 8)
    report = minimal_l2(model, images, model(images).argmax(dim=1), "l2-smoke")
    assert report.adversarial.shape == images.shape
    assert report.distance.isfinite().all()
    assert math.isclose(report.flags["unbounded"].value, 1)


def test_one_image_alone(digits, short) -> None:
    images, labels = digits.correct(1)
    report = minimal_l2(digits.model, images, labels, short)
    assert report.distance.isfinite().all()
    assert report.attacks["nearest-other-class"].distance.isinf().all()
    more = minimal_l2(digits.model, images, labels, short, references=digits.images)
    assert more.attacks["nearest-other-class"].distance.isfinite().all()


def test_it_works_under_inference_mode(digits) -> None:
    images, labels = digits.correct(4)
    with torch.inference_mode():
        report = minimal_l2(digits.model, images.clone(), labels.clone(), "l2-smoke")
    assert report.notes == ()
    assert report.distance.isfinite().all()


def test_the_model_is_left_as_it_was(digits) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10)).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    minimal_l2(model, digits.images[:8], digits.labels[:8], "l2-smoke")
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
        assert value.dtype == before[key].dtype
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_an_unknown_suite_is_refused(digits) -> None:
    with pytest.raises(UnknownNameError, match="no attack suite 'l2-standard'"):
        minimal_l2(digits.model, digits.images[:1], digits.labels[:1], "l2-standard")


def test_the_public_face_is_lazy() -> None:
    assert robench.minimal_l2 is minimal_l2
    code = (
        "import sys; from robench.attacks import ATTACKS; from robench.attacks.suite.suites import "
        "suite_version; ATTACKS.names(), suite_version('l2-quick'), ATTACKS.summary('ddn'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.gpu
def test_a_gpu_gives_the_same(digits) -> None:
    images, labels = digits.correct(40)
    expected = minimal_l2(digits.model, images, labels)
    report = minimal_l2(copy.deepcopy(digits.model).to("cuda"), images, labels)
    assert report.distance.device == images.device
    torch.testing.assert_close(report.distance, expected.distance, rtol=1e-2, atol=0)
