"""The multilayer perceptron: images and rows, tanh and its initial weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.models import build


def mlp(shape: tuple[int, ...] = (6,), **params: object) -> nn.Module:
    channels = shape[0]
    return build(
        "mlp",
        input_shape=shape,
        classes=2,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        params={"widths": [5], **params},
        seed=1,
    )


@pytest.mark.parametrize("shape", [(6,), (1, 4, 4), (3, 2, 5)])
def test_it_takes_rows_and_images(shape: tuple[int, ...]) -> None:
    assert mlp(shape)(torch.rand(4, *shape)).shape == (4, 2)


def test_it_is_the_formula() -> None:
    network = mlp(activation="tanh").eval()
    first, last = (layer for layer in network.modules() if isinstance(layer, nn.Linear))
    rows = torch.rand(7, 6)
    expected = (rows @ first.weight.T + first.bias).tanh() @ last.weight.T + last.bias
    torch.testing.assert_close(network(rows), expected)


def test_relu_and_tanh_start_from_weights_of_their_own() -> None:
    wide = {"widths": [400]}
    relu, tanh = (mlp((300,), activation=name, **wide) for name in ("relu", "tanh"))
    variances = [
        next(layer for layer in network.modules() if isinstance(layer, nn.Linear))
        .weight.detach()
        .var()
        .item()
        for network in (relu, tanh)
    ]
    assert variances[0] == pytest.approx(2 / 300, rel=0.05)  # He et al. 2015
    assert variances[1] < variances[0]
