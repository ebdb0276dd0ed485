"""Which units are kept, and what the removed ones add to the next bias."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.compaction.pruning_plan import LayerPlan, Plan, Policy
from robench.graph.trace import Traced, traced_copy


def plan_of(*layers: nn.Module, shape: tuple[int, ...], policy: Policy | None = None) -> Plan:
    model = nn.Sequential(*layers).double().eval()
    return Plan(Traced(traced_copy(model), torch.rand(1, *shape).double()), policy or Policy())


def layer_of(plan: Plan, name: str) -> LayerPlan:
    return next(layer for layer in plan.layers if layer.name == name)


def linear() -> tuple[nn.Linear, nn.Linear]:
    """Three hidden units: alive, constant 0.5, and read by nothing."""
    first, second = nn.Linear(2, 3), nn.Linear(3, 2)
    with torch.no_grad():
        first.weight[1], first.bias[1] = 0, 0.5
        second.weight[:, 2] = 0
    return first, second


def test_a_constant_goes_to_the_next_bias() -> None:
    first, second = linear()
    plan = plan_of(first, nn.ReLU(), second, shape=(2,))
    before, after = layer_of(plan, "0"), layer_of(plan, "2")
    assert before.kept.tolist() == [True, False, False]
    assert before.folded.tolist() == [False, True, False]
    assert after.inputs_kept.tolist() == [True, False, False]
    torch.testing.assert_close(after.shift, 0.5 * second.weight[:, 1][None])
    assert after.kept.all()  # logits stay


@pytest.mark.parametrize("constants", ["keep", "bias-map"])
def test_a_padded_convolution_keeps_a_constant_or_takes_a_map(constants) -> None:
    first, second = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 3, padding=1)
    with torch.no_grad():
        first.weight[1], first.bias[1] = 0, 0.5
    plan = plan_of(first, second, shape=(1, 4, 4), policy=Policy(constants))
    before, after = layer_of(plan, "0"), layer_of(plan, "1")
    if constants == "keep":
        assert before.kept.tolist() == [True, True]
        assert before.stuck.tolist() == [False, True]
        assert before.why is not None
        assert "'1' pads a constant with zeros" in before.why
        assert not after.shift.any()
        return
    assert before.kept.tolist() == [True, False]
    # In the middle all nine weights see the constant, in a corner four.
    kernel = second.weight[0, 1]
    torch.testing.assert_close(after.shift[0, 0, 1, 1], 0.5 * kernel.sum())
    torch.testing.assert_close(after.shift[0, 0, 0, 0], 0.5 * kernel[1:, 1:].sum())
    assert after.at_one_size


def test_a_layer_keeps_one_unit_at_least() -> None:
    first, second = nn.Linear(2, 3), nn.Linear(3, 2)
    nn.init.zeros_(second.weight)
    plan = plan_of(first, second, shape=(2,))
    assert layer_of(plan, "0").kept.tolist() == [True, False, False]


def test_groups_of_a_convolution_stay_of_one_size() -> None:
    first, second = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1, groups=2)
    nn.init.zeros_(second.weight[:, :])
    with torch.no_grad():
        second.weight[:2] = 1  # the first group reads both of its inputs
        second.weight[2:, 0] = 1  # the second one reads one
    plan = plan_of(first, second, nn.Conv2d(4, 1, 1), shape=(1, 3, 3))
    kept = layer_of(plan, "0").kept
    assert kept.view(2, 2).sum(1).tolist() == [2, 2]
    assert "groups stay of one size" in str(layer_of(plan, "0").why)
