"""Values of flags, computed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.core.inputs import check_inputs
from robench.attacks.evaluation.flags import raise_flags
from robench.attacks.suite.diagnostics import Diagnostics, has_no_gradient, measure
from robench.attacks.suite.report import MemberReport

INF = float("inf")


def member(attack: str, *distance: float, on_ray: list[float] | None = None, gradients: int = 1):
    found = torch.tensor(distance, dtype=torch.float64)
    count = torch.ones(len(found), dtype=torch.int64)
    return MemberReport(
        attack=attack,
        version=1,
        params={},
        view="own",
        is_refinement=False,
        distance=found,
        distance_on_ray=found if on_ray is None else torch.tensor(on_ray, dtype=torch.float64),
        optimality=None,
        wins=None,
        forwards=count,
        backwards=count * gradients,
        allowed=None,
        seconds=0.0,
        out_of_bounds=0,
        error=None,
    )


class Plain(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([1 - images[:, 0], images[:, 0]], dim=1) * 4


IMAGES = torch.tensor([[0.9], [0.1], [0.2], [0.3], [0.4]])
INPUTS = check_inputs(Plain().eval(), IMAGES, torch.zeros(5, dtype=torch.int64))
"""The first image is misclassified."""
BEST = [0.0, 1, 1, 2, 4]


def diagnostics(*members: MemberReport, distance: list[float] = BEST) -> Diagnostics:
    none = torch.zeros(5, dtype=torch.bool)
    return Diagnostics(
        correct=INPUTS.correct,
        distance=torch.tensor(distance, dtype=torch.float64),
        margin=torch.tensor([0, 1e-7, 0.1, 0.2, 0.3], dtype=torch.float64),
        members={str(number): member for number, member in enumerate(members)},
        has_no_gradient=none,
        lost=none,
        by_reference=none,
        surrogates=0,
    )


def value(name: str, given: Diagnostics) -> float | None:
    return measure(INPUTS, given)[name]


def test_wins_without_a_gradient_are_counted_by_hand() -> None:
    guided = [member("a", 0, 1, 1, 3, INF), member("b", 0, 2, 1, 2, INF)]
    blind = member("c", 0, 0.995, 0.98, 3, 4, gradients=0)
    # The second image is within 1 %; the third and the last are not.
    assert value("bbwins", diagnostics(*guided, blind)) == 0.5
    assert value("bbwins", diagnostics(*guided)) is None
    transferred = replace(blind, attack="transfer")
    assert value("transfer", diagnostics(*guided, transferred)) == 0.5
    assert value("bbwins", diagnostics(*guided, transferred)) is None
    assert value("transfer", diagnostics(*guided, blind)) is None


def test_deepfools_gap_and_slack_by_hand() -> None:
    deepfool = member("deepfool", 0, 2, 2, 4, INF, on_ray=[0, 1, 2, 4, INF])
    given = diagnostics(member("a", *BEST), deepfool)
    assert value("rayslack", given) == pytest.approx((0.5 + 0 + 0) / 3)
    assert value("df-gap", given) == pytest.approx(3 / 1.5)
    lost = diagnostics(member("deepfool", 0, INF, INF, INF, INF))
    assert value("rayslack", lost) is None
    assert value("df-gap", lost) == INF
    without = diagnostics(member("a", *BEST))
    assert value("rayslack", without) is None
    assert value("df-gap", without) is None


def test_the_best_single_attack_by_hand() -> None:
    # ε₀ = 4, the best takes 3 + 3 + 2; these take 3 + 2 + 1 and 2 + 3 + 0.
    given = diagnostics(member("a", 0, 1, 2, 3, 4), member("b", 0, 2, 1, INF, INF))
    assert value("single", given) == pytest.approx(6 / 8)


def test_shares_by_hand() -> None:
    given = diagnostics(member("a", *BEST), distance=[0, 1, INF, 2, 4])
    assert value("unbounded", given) == 0.75
    assert value("margin", diagnostics()) == 0.25
    gone = replace(given, lost=torch.tensor([False, False, True, False, False]))
    assert value("precision", gone) == 0.25
    left = diagnostics(replace(member("a", *BEST), out_of_bounds=3), member("b", *BEST))
    assert value("box", left) == 0.75
    assert value("grad0", replace(given, has_no_gradient=torch.arange(5) > 2)) == 0.5
    assert value("scale", given) == INPUTS.margin
    assert value("crashed", given) == 0
    crashed = diagnostics(replace(member("a", *BEST), error="raised"), member("b", *BEST))
    assert value("crashed", crashed) == 0.5
    # A bound that no attack found does not say that attacks succeed.
    bound = replace(given, by_reference=torch.tensor([False, True, False, False, False]))
    assert value("unbounded", bound) == 0.5


@pytest.mark.parametrize("impossible", [[0.1, 1, 1, 2, 4], [0, 0, 1, 2, 4], [0, 1, -1, 2, 4]])
def test_impossible_distances_are_an_error_of_robench(impossible: list[float]) -> None:
    assert value("monotone", diagnostics()) == 0
    assert value("monotone", diagnostics(distance=impossible)) == 0.2
    assert value("monotone", diagnostics(distance=[0, float("nan"), 1, 2, 4])) == 0.2


def test_where_nothing_is_correct_nothing_is_measured() -> None:
    given = replace(
        diagnostics(member("deepfool", 0, 0, 0, 0, 0), distance=[0] * 5),
        correct=torch.zeros(5, dtype=torch.bool),
    )
    values = measure(INPUTS, given)
    for name in ("box", "grad0", "unbounded", "bbwins", "rayslack", "single", "df-gap", "margin"):
        assert values[name] is None
    assert not [flag for flag in raise_flags(values).values() if flag.raised]


def test_the_share_without_a_gradient_is_counted_over_correct_images() -> None:
    class Half(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            first = torch.where(images[:, 0] > 0.5, images[:, 0], torch.ones(()))
            return torch.stack([first, torch.zeros(len(images))], dim=1)

    images = torch.tensor([[0.9, 0], [0.1, 0], [0.2, 0], [0.8, 0]])
    inputs = check_inputs(Half().eval(), images, torch.tensor([0, 0, 1, 0]))
    assert has_no_gradient(inputs).tolist() == [False, True, False, False]
