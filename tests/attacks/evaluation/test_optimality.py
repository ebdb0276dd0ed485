"""How close one attack came to the best."""

from __future__ import annotations

import pytest
import torch

from robench.attacks.evaluation.optimality import area, largest_distance, optimality

INF = float("inf")
BEST = torch.tensor([0.0, 1, 2, 4], dtype=torch.float64)
CORRECT = torch.tensor([False, True, True, True])


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        ([0, 1, 2, 4], 1.0),
        # Areas with ε₀ = 4: the best leaves (1 + 2 + 4) / 4, nothing at all leaves 12 / 4.
        ([0, 4, 4, 4], 0.0),
        ([0, INF, INF, INF], 0.0),
        ([0, 2, 3, 4], 3 / 5),
        ([0, 0.5, 2, 4], 1.0),  # shorter than the best: it did not hold when asked again
        ([0, 1, 2, INF], 1.0),  # what lies at ε₀ itself takes nothing off the area
    ],
)
def test_by_hand(distance: list[float], expected: float) -> None:
    value = optimality(torch.tensor(distance, dtype=torch.float64), BEST, CORRECT)
    assert value == pytest.approx(expected)


def test_it_is_the_ratio_of_areas_under_the_curves() -> None:
    generator = torch.Generator().manual_seed(0)
    correct = torch.rand(200, generator=generator) > 0.2
    best = torch.rand(200, generator=generator, dtype=torch.float64) * correct
    attack = best * (1 + torch.rand(200, generator=generator, dtype=torch.float64))
    limit = best.max().item()
    radii = torch.linspace(0, limit, 20_001, dtype=torch.float64)

    def under_curve(distance: torch.Tensor) -> float:
        accuracy = (distance[None] > radii[:, None]).double().mean(dim=1)
        return torch.trapezoid(accuracy, radii).item()

    whole = correct.double().mean().item() * limit
    expected = (whole - under_curve(attack)) / (whole - under_curve(best))
    assert optimality(attack, best, correct) == pytest.approx(expected, abs=1e-4)
    assert area(attack, limit) == pytest.approx(under_curve(attack), abs=1e-4)


def test_where_there_is_nothing_to_compare_with() -> None:
    none = torch.full((4,), INF, dtype=torch.float64)
    assert optimality(none, none, CORRECT) is None
    assert largest_distance(none) == 0
    zero = torch.zeros(4, dtype=torch.float64)
    assert optimality(zero, zero, torch.zeros(4, dtype=torch.bool)) is None
    one = torch.tensor([2.0], dtype=torch.float64)
    assert optimality(one, one, torch.tensor([True])) == 1
