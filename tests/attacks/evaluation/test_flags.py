"""Flags: thresholds, and evaluations that raise them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.evaluation.flags import FLAGS, raise_flags
from robench.attacks.suite.minimal import minimal_l2


@pytest.mark.parametrize(
    ("name", "sound", "unsound"),
    [
        ("mode", 1e-4, 2e-4),
        ("probs", 0, 1),
        ("saturated", 0.01, 0.02),
        ("crashed", 0, 0.1),
        ("df-gap", 1.25, 1.3),
        ("scale", 0.1, 0.09),
        ("scale", 100, 101),
        ("box", 0, 0.01),
        ("grad0", 0.01, 0.02),
        ("unbounded", 0.999, 0.99),
        ("bbwins", 0.01, 0.02),
        ("rayslack", 0.03, 0.04),
        ("converge", 0.01, 0.02),
        ("precision", 0.001, 0.002),
        ("noise", 1.5, 1.4),
        ("seeds", 0.01, 0.02),
        ("transfer", 0.01, 0.02),
        ("declared", 0, 1),
        ("monotone", 0, 0.1),
    ],
)
def test_thresholds(name: str, sound: float, unsound: float) -> None:
    assert not raise_flags({name: sound})[name].raised
    flag = raise_flags({name: unsound})[name]
    assert flag.raised
    assert flag.value == unsound
    bounds = flag.threshold if isinstance(flag.threshold, tuple) else (flag.threshold,)
    assert sound in bounds


def test_what_was_not_measured_raises_nothing_and_nan_does() -> None:
    flags = raise_flags({"noise": float("nan")})
    assert set(flags) == set(FLAGS)
    assert [name for name, flag in flags.items() if flag.raised] == ["noise"]
    assert flags["single"].value is None
    for name, flag in flags.items():
        assert flag.name == name
        assert 20 < len(flag.meaning) < 100
        assert flag.kind in ("warning", "note")


def test_a_network_that_cannot_be_fooled_is_noted() -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([1 + images[:, 0], images[:, 0]], dim=1)

    report = minimal_l2(Constant().eval(), torch.rand(8, 3), torch.zeros(8, dtype=torch.int64))
    flags = report.flags
    assert flags["unbounded"].raised
    assert flags["unbounded"].value == 0
    assert flags["df-gap"].value is None
    assert flags["precision"].value is None
    assert flags["single"].value is None


def test_adversarials_that_all_flip_back_are_counted() -> None:
    class InSingleOnly(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            slope = images[:, 0] - 0.5 if images.dtype == torch.float32 else images[:, 0] - 2
            return torch.stack([-slope, slope], dim=1)

    images = torch.full((10, 2), 0.2)
    report = minimal_l2(InSingleOnly().eval(), images, torch.zeros(10, dtype=torch.int64))
    assert report.flags["precision"].raised
    assert report.flags["precision"].value == 1
    assert report.distance.isinf().all()
    assert set(report.winner) == {"none"}
