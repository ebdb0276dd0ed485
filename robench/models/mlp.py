"""Fully connected networks of any widths."""

import itertools
import math
from collections.abc import Sequence

from pydantic import PositiveInt
from torch import nn

from robench.models.base import Network
from robench.spec.base import Frozen

__all__ = ["MLP", "fully_connected"]


class MLP(Network):
    """Fully connected, ReLU, 500-300 hidden units unless `widths` says otherwise.

    The default is the network that Wen et al. 2016 (arXiv 1608.03665) make sparse on MNIST. Takes
    images, which it flattens, and rows of features.
    """

    name = "mlp"

    class Params(Frozen):
        """Shape of the network."""

        widths: tuple[PositiveInt, ...] = (500, 300)
        """Units of each hidden layer; none at all gives logistic regression."""

    def layers(self, params: Params, /) -> nn.Sequential:
        """Linear and ReLU in turn, then the linear classifier."""
        return fully_connected(math.prod(self.input_shape), params.widths, self.classes)


def fully_connected(features: int, widths: Sequence[int], classes: int) -> nn.Sequential:
    """Flatten, then Linear layers `fc1`, `fc2`, … with ReLU between them."""
    body = nn.Sequential()
    body.add_module("flatten", nn.Flatten())
    sizes = itertools.pairwise([features, *widths, classes])
    for number, (inputs, outputs) in enumerate(sizes, start=1):
        body.add_module(f"fc{number}", nn.Linear(inputs, outputs))
        if number <= len(widths):
            body.add_module(f"relu{number}", nn.ReLU())
    return body
