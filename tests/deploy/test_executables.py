"""Every execution of a network computes the same function, with weights of its own."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from robench.deploy.executables import executable, put_channels_last
from robench.deploy.recipe import Recipe

IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network() -> fx.GraphModule:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(80, 2)
    )
    return fx.symbolic_trace(model.eval())


@pytest.mark.parametrize("execution", ["plain", "channels last", "planar", "frozen", "optimised"])
def test_each_computes_the_same(execution) -> None:
    model = network()
    recipe = Recipe((3, 8, 8), planar={"2": "direct", "0": "direct"})
    made = executable(execution, model, recipe, IMAGES)
    with torch.no_grad():
        expected = model(IMAGES)
        torch.testing.assert_close(made(IMAGES), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(made(IMAGES[:1]), expected[:1], atol=1e-5, rtol=1e-5)
        model.get_parameter("4.bias").add_(1)
        torch.testing.assert_close(made(IMAGES), expected, atol=1e-5, rtol=1e-5)


def test_the_first_convolution_is_given_channels_last() -> None:
    model = network()
    expected = model(IMAGES)
    put_channels_last(model)
    targets = [node.target for node in model.graph.nodes]
    assert targets.index("contiguous") == targets.index("0") - 1
    assert targets.count("contiguous") == 1
    for name in ("0", "2"):
        weight = model.get_parameter(f"{name}.weight")
        assert weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(IMAGES), expected, atol=1e-5, rtol=1e-5)
