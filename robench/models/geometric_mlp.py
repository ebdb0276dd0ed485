"""Fully connected networks whose widths fall geometrically."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from torch import nn

from robench.models.base import Network
from robench.models.mlp import fully_connected
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GeometricMLP", "geometric_widths"]


class GeometricMLP(Network):
    """Fully connected, ReLU, each layer narrower than the one before by the same factor.

    The family of networks of the tutorial of Shavitt & Segal 2018 (arXiv 1805.06440), for tables
    of many features: of D features, the k-th of L layers leaves D^(1 - k / L) units, and the last
    leaves the outputs. Starts as Glorot & Bengio 2010 say, normally distributed with variance
    2 / (fan-in + fan-out).
    """

    name = "geometric-mlp"

    class Params(Frozen):
        """Depth of the network."""

        layers: Annotated[int, Field(ge=1)] = 4
        """Linear layers, the output included; 1 gives a linear model."""

    def layers(self, params: Params, /) -> nn.Sequential:
        """Linear and ReLU in turn, then the linear output."""
        features = math.prod(self.input_shape)
        return fully_connected(features, geometric_widths(features, params.layers), self.classes)

    def initialise(self) -> None:
        """Draw initial weights: Glorot's normal distribution, biases zero."""
        for module in self.body:
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)


def geometric_widths(features: int, layers: int) -> Sequence[int]:
    """Units of each hidden layer: ``features ** (k / layers)``, rounded, for falling k.

    >>> geometric_widths(1000, 3)
    [100, 10]
    """
    return [round(features ** (k / layers)) for k in range(layers - 1, 0, -1)]
