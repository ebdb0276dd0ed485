"""Running a network: logits, input gradients, and what its layers read and write."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.errors import InputError
from robench.graph.observe import input_gradient, observe, run
from tests.networks import Net, linear_layers


def test_layers_are_observed_before_the_next_step_writes_over_them() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(inplace=True)).eval()
    rows = torch.rand(4, 3) - 0.5
    seen = observe(model, ["0"], rows)
    assert torch.equal(seen["0"][0], rows)
    assert torch.equal(seen["0"][1], model[0](rows))
    assert not model[0]._forward_hooks


def test_the_batch_stays_as_it_is() -> None:
    rows = torch.ones(2, 3)
    assert torch.equal(run(Net(lambda m, x: x.mul_(2)), rows), 2 * rows)
    assert torch.equal(rows, torch.ones(2, 3))


def test_the_gradient_is_that_of_a_fixed_projection() -> None:
    """Of a linear network x Wᵀ it is dW, with the projection d: it lies in the rows of W."""
    model, rows = linear_layers(3, 2), torch.rand(4, 3)
    gradient = input_gradient(model, rows)
    assert torch.equal(gradient, input_gradient(model, rows))
    weight = model[0].weight.detach()
    direction = torch.linalg.lstsq(weight.T, gradient.T).solution
    torch.testing.assert_close(weight.T @ direction, gradient.T, atol=1e-5, rtol=1e-5)
    assert not input_gradient(Net(lambda m, x: x.detach()), rows).any()


@pytest.mark.parametrize(
    ("forward", "message"),
    [(lambda m, x: x @ torch.ones(7, 2), "does not take"), (lambda m, x: (x,), "returns a tuple")],
)
def test_what_does_not_run_is_said(forward, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(Net(forward), torch.ones(2, 3))
