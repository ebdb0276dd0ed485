"""The comparison itself: what it lets pass and what it does not."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robench.errors import CompactionError
from robench.graph.proof import prove_equal
from tests.networks import linear_layers


def network() -> nn.Sequential:
    return linear_layers(4, 6, 3, activation=nn.Tanh).double()


KEPT = {"0": torch.ones(6, dtype=torch.bool), "2": torch.ones(3, dtype=torch.bool)}
ONE = {"1": torch.ones(3, dtype=torch.bool)}


def test_a_network_equals_itself() -> None:
    model, example = network(), torch.rand(5, 4).double()
    found = prove_equal(model, copy.deepcopy(model), KEPT, example)
    assert found.logits_float64 == found.gradients_float64 == 0
    assert found.logits_float32 == found.gradients_float32 == 0


@pytest.mark.parametrize(("size", "passes"), [(1e-12, True), (1e-6, False)])
@pytest.mark.parametrize("name", ["0", "2"])
def test_tolerance_and_name(name: str, size: float, passes: bool) -> None:
    model, example = network(), torch.rand(5, 4).double()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.get_submodule(name).get_parameter("weight")[0, 0] += size
    if passes:
        found = prove_equal(model, other, KEPT, example)
        assert 0 < found.logits_float64 < 1e-11
    else:
        with pytest.raises(CompactionError, match=f"at '{name}'"):
            prove_equal(model, other, KEPT, example)


def test_not_a_number_equals_nothing() -> None:
    model, example = network(), torch.rand(5, 4).double()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight[0, 0] = torch.nan
    with pytest.raises(CompactionError, match="at '0': logits differ by nan"):
        prove_equal(model, other, KEPT, example)


class Inside(nn.Module):
    """Shifts its inputs within a thousandth of 0.25 alone, where random inputs hardly fall."""

    def forward(self, rows: Tensor) -> Tensor:
        return rows + 1e-3 * ((rows - 0.25).abs() < 1e-6)


def test_the_given_inputs_are_looked_at() -> None:
    model = nn.Sequential(nn.Identity(), nn.Linear(4, 3)).double().eval()
    other = nn.Sequential(Inside(), copy.deepcopy(model[1]))
    example = torch.full((2, 4), 0.25).double()
    with pytest.raises(CompactionError):
        prove_equal(model, other, ONE, example)


def test_random_inputs_are_looked_at_too() -> None:
    """A difference that the given inputs, all between 0 and 0.5, do not touch."""

    class Upper(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return rows + (rows[:, :1] > 0.6) * (rows[:, 1:2] < 0.4)

    model = nn.Sequential(nn.Identity(), nn.Linear(4, 3)).double().eval()
    other = nn.Sequential(Upper(), copy.deepcopy(model[1]))
    example = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.5, 1.0, 1.0, 1.0]]).double()
    with pytest.raises(CompactionError):
        prove_equal(model, other, ONE, example)


def test_a_network_that_draws_random_numbers_is_refused() -> None:
    class Noisy(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return rows + torch.randn_like(rows)

    model = nn.Sequential(Noisy(), nn.Linear(4, 3)).double().eval()
    example = torch.rand(3, 4).double()
    with pytest.raises(CompactionError, match=r"the original itself differs by .* one pass to the"):
        prove_equal(model, copy.deepcopy(model), ONE, example)


def test_a_network_that_draws_none_is_not_blamed_for_it() -> None:
    model, example = network(), torch.rand(5, 4).double()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight[0, 0] += 1
    with pytest.raises(CompactionError, match=r"is deterministic, so look into forward\(\)"):
        prove_equal(model, other, KEPT, example)


class Where(nn.Module):
    """Adds a thousandth where a function of the inputs says so."""

    def __init__(self, holds: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.holds = holds

    def forward(self, rows: Tensor) -> Tensor:
        return rows + 1e-3 * self.holds(rows)


@pytest.mark.parametrize(
    "holds",
    [
        lambda rows: (rows < 0.2).all(1, keepdim=True),  # dark
        lambda rows: (rows < 0).all(1, keepdim=True),
        lambda rows: (rows > 1).any(1, keepdim=True),
        lambda rows: (rows[:, :2] < 0.4).all(1, keepdim=True) & (rows[:, 2:] > 0.4).all(1, True),
    ],
    ids=["dark", "negative", "large", "inverted"],
)
def test_other_scales_and_signs_are_looked_at(holds: Callable[[Tensor], Tensor]) -> None:
    model = nn.Sequential(nn.Identity(), nn.Linear(4, 3)).double().eval()
    other = nn.Sequential(Where(holds), copy.deepcopy(model[1]))
    example = torch.tensor([[0.8, 0.8, 0.3, 0.3], [0.0, 0.9, 0.0, 1.0]]).double()
    with pytest.raises(CompactionError, match="logits differ"):
        prove_equal(model, other, ONE, example)


def test_where_the_original_has_no_answer_none_is_compared() -> None:
    class Root(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return rows.sqrt()

    model = nn.Sequential(Root(), nn.Linear(4, 3)).double().eval()
    found = prove_equal(model, copy.deepcopy(model), ONE, torch.rand(5, 4).double() + 0.1)
    assert found.logits_float64 == found.gradients_float64 == 0


def test_a_compacted_network_that_does_not_run_is_at_fault_itself() -> None:
    model = network()
    other = nn.Sequential(nn.Linear(3, 3)).double().eval()
    with pytest.raises(CompactionError, match="does not run where the original does"):
        prove_equal(model, other, KEPT, torch.rand(5, 4).double())


def test_global_random_state_is_not_touched() -> None:
    model, example = network(), torch.rand(5, 4).double()
    state = torch.random.get_rng_state()
    prove_equal(model, copy.deepcopy(model), KEPT, example)
    assert torch.equal(state, torch.random.get_rng_state())


class Scaled(nn.Module):
    """Scales what passes, or only its gradient, by 1.01, in one precision alone."""

    def __init__(self, precision: torch.dtype, *, gradient_alone: bool) -> None:
        super().__init__()
        self.precision, self.gradient_alone = precision, gradient_alone

    def forward(self, rows: Tensor) -> Tensor:
        if rows.dtype != self.precision:
            return rows
        scaled = 1.01 * rows
        return scaled + (rows - scaled).detach() if self.gradient_alone else scaled


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("what", ["logits", "gradients"])
def test_logits_and_gradients_count_in_each_precision(precision: str, what: str) -> None:
    model, example = network(), torch.rand(5, 4).double()
    fault = Scaled(getattr(torch, precision), gradient_alone=what == "gradients")
    other = copy.deepcopy(model)
    other[1] = nn.Sequential(nn.Tanh(), fault)
    with pytest.raises(CompactionError, match=f"{what} differ by .* in {precision}"):
        prove_equal(model, other, KEPT, example)
