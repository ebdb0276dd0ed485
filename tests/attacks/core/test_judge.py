"""What an attack saw is not lost to rounding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench.attacks import ATTACKS
from robench.attacks.algorithms.deepfool import DeepFool
from robench.attacks.core.base import Attack
from robench.attacks.core.oracle import Oracle
from robench.attacks.suite.best_adversarials import REFERENCE
from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.suites import AttackSuite, Member


class Rounding(nn.Module):
    """A boundary at a mean of 0.5, blurred by a noise that depends on the size of the batch.

    Args:
        blur: half the width of the strip in which the class is anything.
    """

    def __init__(self, blur: float) -> None:
        super().__init__()
        self.blur = blur
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(dim=1)
        phase = (
            1e6 * mean.detach().double() + 7.3 * len(images) + 2.1 * (images.dtype == torch.float64)
        )
        lead = mean - 0.5 + self.blur * torch.sin(phase).to(mean)
        return torch.stack([-lead, lead], dim=1)


@pytest.fixture
def walker(monkeypatch):
    """An attack that asks about a few points on the way to white, and returns the nearest one."""
    monkeypatch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))

    class Walker(Attack):
        name = "walker"
        steps = 200

        def run(self, oracle: Oracle) -> Tensor:
            for step in range(1, self.steps + 1):
                points = torch.lerp(oracle.images, torch.ones(()), step / self.steps)
                oracle.query(points, oracle.rows)
            return oracle.best

    ATTACKS.add("walker", Walker, source="a test")
    return Walker


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    blur=st.floats(1e-7, 0.1),
    values=st.lists(st.floats(0, 0.3), min_size=1, max_size=9),
    steps=st.integers(4, 60),
)
def test_an_adversarial_that_was_seen_is_never_lost(walker, blur, values, steps) -> None:
    walker.steps = steps
    images = torch.tensor(values, dtype=torch.float32)[:, None].expand(-1, 4).contiguous()
    labels = torch.zeros(len(images), dtype=torch.int64)
    model = Rounding(blur)
    result = walker()(model, images, labels)
    # The last point, white, is beyond any blur.
    assert result.success.all()
    suite = AttackSuite("m", 1, (Member("walker"),))
    report = minimal_l2(model, images, labels, suite)
    assert report.distance.isfinite().all()
    assert set(report.winner) == {"walker"}
    true = (0.5 - images.mean(dim=1)).double() * 2
    assert (report.distance >= true - 4 * blur).all()
    if blur < 1e-3:
        # Lengthened a little, and not replaced by the far end of the walk.
        assert (report.distance <= 1.15 * true + 2 / steps + 4 * blur).all()


def test_deepfool_ends_in_the_strip_and_keeps_its_points() -> None:
    images = torch.linspace(0.1, 0.4, 30)[:, None].expand(-1, 4).contiguous()
    labels = torch.zeros(30, dtype=torch.int64)
    result = DeepFool()(Rounding(2e-3), images, labels)
    assert result.success.all()
    assert (result.distance < 1.15 * (1 - 2 * images[:, 0]).double() + 0.02).all()


class Blind(nn.Module):
    """Without a gradient; class 1 from 0.5 on."""

    def forward(self, images: Tensor) -> Tensor:
        lead = (images.mean(dim=1).detach() >= 0.5).float() * 2 - 1
        return torch.stack([-lead, lead], dim=1)


def test_a_reference_of_another_class_is_a_bound() -> None:
    images = torch.full((3, 4), 0.2)
    labels = torch.zeros(3, dtype=torch.int64)
    suite = AttackSuite("m", 1, (Member("deepfool", {"steps": 3}),))
    references = torch.tensor([[0.3] * 4, [1.0] * 4, [0.8] * 4])
    report = minimal_l2(Blind().eval(), images, labels, suite, references=references)
    # The nearest one, brought back along the ray to the boundary: 0.3 · √4.
    assert report.distance.tolist() == pytest.approx([0.6] * 3, rel=1e-3)
    assert set(report.winner) == {REFERENCE}
    assert report.flags["unbounded"].value == 0  # no attack found anything
    assert "3 images: their distance is that of the nearest reference" in report.notes[0]
    alone = minimal_l2(Blind().eval(), images, labels, suite)
    assert set(alone.winner) == {"none"}  # nothing is known that changes the class


def test_a_bound_is_verified_like_all_else() -> None:
    class Torn(nn.Module):
        """Beyond 0.9 the class is another one in float32 only."""

        def forward(self, images: Tensor) -> Tensor:
            mean = images.mean(dim=1)
            beyond = (mean > 0.9) & torch.tensor(images.dtype == torch.float32)
            lead = (((mean > 0.6) & (mean < 0.7)) | beyond).to(images) * 2 - 1
            return torch.stack([-lead, lead], dim=1).detach()

    images, labels = torch.full((2, 4), 0.2), torch.zeros(2, dtype=torch.int64)
    suite = AttackSuite("m", 1, (Member("deepfool", {"steps": 2}),))
    references = torch.tensor([[0.95] * 4])
    report = minimal_l2(Torn().eval(), images, labels, suite, references=references)
    assert report.distance.isinf().all()
    references = torch.tensor([[0.95] * 4, [0.65] * 4])
    report = minimal_l2(Torn().eval(), images, labels, suite, references=references)
    assert report.distance.tolist() == pytest.approx([0.8] * 2, rel=1e-2)
