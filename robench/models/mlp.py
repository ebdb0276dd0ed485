"""Fully connected networks of any widths."""

import itertools
import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, PositiveInt
from torch import nn

from robench.models.activations import Activation, make_activation
from robench.models.base import Network
from robench.spec.base import Frozen

__all__ = ["MLP", "fully_connected"]


class MLP(Network):
    """Fully connected, ReLU, 500-300 hidden units unless `widths` says otherwise.

    The default is the network that Wen et al. 2016 (arXiv 1608.03665) make sparse on MNIST. Takes
    images, which it flattens, and rows of features. With tanh the initial weights are those of
    Glorot & Bengio 2010, uniform with variance 2 / (fan-in + fan-out). With ``"k-wta"`` or
    ``"sign"`` the network jumps, and its gradients mislead an attacker who trusts them.
    """

    name = "mlp"

    class Params(Frozen):
        """Shape of the network."""

        widths: tuple[PositiveInt, ...] = (500, 300)
        """Units of each hidden layer; none at all gives logistic regression."""
        activation: Activation = "relu"
        """What follows each hidden layer."""
        active_share: Annotated[float, Field(gt=0, le=1)] = 0.1
        """Share of a layer's units that stay active under k-WTA."""

    def layers(self, params: Params, /) -> nn.Sequential:
        """Linear and activation in turn, then the linear classifier."""
        self.activation = params.activation
        features = math.prod(self.input_shape)
        return fully_connected(
            features,
            params.widths,
            self.classes,
            params.activation,
            active_share=params.active_share,
        )

    def initialise(self) -> None:
        """Draw initial weights: Glorot's for tanh, which has slope 1 at zero; else the base's."""
        if self.activation != "tanh":
            super().initialise()
            return
        for module in self.body:
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)


def fully_connected(
    features: int,
    widths: Sequence[int],
    classes: int,
    activation: Activation = "relu",
    *,
    active_share: float = 0.1,
) -> nn.Sequential:
    """Flatten, then Linear layers `fc1`, `fc2`, … with `relu1` or `tanh1`, … between them.

    Args:
        features: of one input, once it is flat.
        widths: units of each hidden layer.
        classes: outputs.
        activation: what follows each hidden layer.
        active_share: of the units that stay active under k-WTA.
    """
    body = nn.Sequential()
    body.add_module("flatten", nn.Flatten())
    sizes = itertools.pairwise([features, *widths, classes])
    for number, (inputs, outputs) in enumerate(sizes, start=1):
        body.add_module(f"fc{number}", nn.Linear(inputs, outputs))
        if number <= len(widths):
            follows = make_activation(activation, active_share=active_share)
            body.add_module(f"{activation}{number}", follows)
    return body
