"""What is refused before a network is compacted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.errors import CompactionError, InputError
from robench.graph.checks import check_example, check_network, precision_of
from tests.networks import linear_layers


def test_a_network_that_is_fine() -> None:
    model, example = linear_layers(4, 3, 2), torch.rand(5, 4, requires_grad=True)
    check_network(model)
    checked = check_example(model, example)
    assert torch.equal(checked, example)
    assert not checked.requires_grad


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (3, InputError, "a int is no network"),
        (nn.ReLU().eval(), InputError, "no parameters"),
        (linear_layers(4, 3, 2).train(), InputError, "training mode"),
        (nn.Sequential(*[nn.Linear(3, 3)] * 2).eval(), None, ""),
    ],
)
def test_networks_that_are_refused(model, error, message: str) -> None:
    if error is None:  # one module twice is one parameter under two names
        error, message = CompactionError, "the same parameter"
    with pytest.raises(error, match=message):
        check_network(model)


def test_there_is_one_precision() -> None:
    model = linear_layers(4, 3, 2)
    assert precision_of(model) is torch.float32
    assert precision_of(model.double()) is torch.float64
    model[0].float()
    with pytest.raises(InputError, match="float32 and float64"):
        precision_of(model)
    with pytest.raises(InputError, match="float16"):
        precision_of(model.half())


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ([1.0], "the example is a list"),
        (torch.ones(2, 4, dtype=torch.long), "int64"),
        (torch.ones(4), r"of shape \(4,\)"),
        (torch.ones(0, 4), r"of shape \(0, 4\)"),
        (torch.full((1, 4), torch.nan), "not a number"),
        (torch.ones(1, 5), "does not take"),
    ],
)
def test_examples_that_are_refused(example, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_example(linear_layers(4, 3, 2), example)
