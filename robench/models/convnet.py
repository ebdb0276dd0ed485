"""A small convolutional network with BatchNorm."""

from typing import Annotated

from pydantic import Field, PositiveInt
from torch import nn

from robench.models.activations import Activation, make_activation
from robench.models.base import Network
from robench.spec.base import Frozen

__all__ = ["ConvNet"]


class ConvNet(Network):
    """Three 3x3 convolutions with BatchNorm and ReLU, average pooling, one linear layer.

    Max pooling halves the image after each convolution but the last, whose maps are averaged, so
    that any image of 4x4 pixels and more will do, in any number of channels.
    """

    name = "convnet"

    class Params(Frozen):
        """Widths of the layers."""

        widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64, 128)
        """Filters of each convolution; there are as many convolutions as widths."""
        activation: Activation = "relu"
        """What follows each BatchNorm; with ``"k-wta"`` or ``"sign"`` the network jumps."""
        active_share: Annotated[float, Field(gt=0, le=1)] = 0.1
        """Share of a layer's activations that stay under k-WTA."""

    def layers(self, params: Params, /) -> nn.Sequential:
        """Convolution, BatchNorm, ReLU and pooling in turn, then the linear classifier."""
        last = len(params.widths)
        inputs, _, _ = self.image_shape(smallest_px=2 ** (last - 1))
        body = nn.Sequential()
        for number, outputs in enumerate(params.widths, start=1):
            # BatchNorm's shift takes the place of the convolution's bias.
            conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
            body.add_module(f"conv{number}", conv)
            body.add_module(f"norm{number}", nn.BatchNorm2d(outputs))
            follows = make_activation(params.activation, active_share=params.active_share)
            body.add_module(f"{params.activation}{number}", follows)
            if number < last:
                body.add_module(f"pool{number}", nn.MaxPool2d(2))
            inputs = outputs
        body.add_module("pool", nn.AdaptiveAvgPool2d(1))
        body.add_module("flatten", nn.Flatten())
        body.add_module("fc", nn.Linear(inputs, self.classes))
        return body
