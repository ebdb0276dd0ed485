"""What each attack did by itself, on a network whose distances are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.attacks.suite.minimal import minimal_l2
from robench.attacks.suite.report import AttackReport
from robench.stages.attack_members import guests, members
from robench.stages.declarations.attack import ResolvedAttack

IMAGES = 0.4 + 0.2 * torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()


@pytest.fixture(scope="module")
def labels(network: nn.Module) -> torch.Tensor:
    return network(IMAGES).argmax(1)


@pytest.fixture(scope="module")
def report(network: nn.Module, labels: torch.Tensor) -> AttackReport:
    return minimal_l2(network, IMAGES, labels, suite="l2-smoke", progress=False)


def test_a_line_for_each_run_with_what_it_found_and_cost(report: AttackReport) -> None:
    found = members(report)
    assert list(found) == list(report.attacks)
    assert sum(float(str(line.told["wins"])) for line in found.values()) == pytest.approx(1)
    for line in found.values():
        assert line.told["guest"] is False
        assert line.distance.shape == report.distance.shape
        assert (line.distance >= report.distance - 1e-6).all()
        assert float(str(line.told["passes"])) > 0


def test_guests_run_beside_and_one_that_cannot_run_is_a_line_that_says_so(
    report: AttackReport, network: nn.Module, labels: torch.Tensor
) -> None:
    asked = [
        ResolvedAttack(name="deepfool", version=1, label="deepfool"),
        ResolvedAttack(name="nowhere", version=1, label="nowhere"),
    ]
    before = report.distance.clone()
    found = guests(asked, report, network, IMAGES, labels, IMAGES)
    names = list(found)
    assert names[-1] == "nowhere"
    assert names[0].startswith("deepfool")
    assert all(line.told["guest"] for line in found.values())
    assert "could not run" in str(found["nowhere"].told["error"])
    assert found["nowhere"].distance.isinf().all()
    # On a linear network DeepFool comes as close as anything.
    assert float(str(found[names[0]].told["optimality"])) == pytest.approx(1, abs=0.05)
    assert torch.equal(report.distance, before)
