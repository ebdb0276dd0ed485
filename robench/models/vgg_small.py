"""A network in the manner of VGG for small images."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from torch import nn

from robench.models.base import Network
from robench.spec.base import Frozen

__all__ = ["VGGSmall"]


class VGGSmall(Network):
    """Pairs of 3x3 convolutions with BatchNorm between poolings, as VGG's first six, for 32 pixels.

    After Simonyan & Zisserman 2015 (arXiv 1409.1556), with the BatchNorm that came later. Its
    fully connected layers, made for 224 pixels, give way to the average of each map and one linear
    layer. 1,148,874 parameters and 153 million multiply-accumulates for CIFAR-10; halved `widths`
    need a quarter of both. Each pooling halves the image, which must have a pixel left at the end.
    """

    name = "vgg-small"

    class Params(Frozen):
        """Widths of the layers."""

        widths: Annotated[tuple[PositiveInt | Literal["M"], ...], Field(min_length=1)] = (
            *(64, 64, "M"),
            *(128, 128, "M"),
            *(256, 256, "M"),
        )
        """Filters of each 3x3 convolution, and ``M`` for each max pooling over 2x2 pixels."""

    def layers(self, params: Params, /) -> nn.Sequential:
        """Convolution, BatchNorm and ReLU in turn, poolings, then the linear classifier."""
        inputs, _, _ = self.image_shape(smallest_px=2 ** params.widths.count("M"))
        body = nn.Sequential()
        convolutions = poolings = 0
        for outputs in params.widths:
            if outputs == "M":
                poolings += 1
                body.add_module(f"pool{poolings}", nn.MaxPool2d(2))
                continue
            convolutions += 1
            # BatchNorm's shift takes the place of the convolution's bias.
            conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
            body.add_module(f"conv{convolutions}", conv)
            body.add_module(f"norm{convolutions}", nn.BatchNorm2d(outputs))
            body.add_module(f"relu{convolutions}", nn.ReLU())
            inputs = outputs
        body.add_module("pool", nn.AdaptiveAvgPool2d(1))
        body.add_module("flatten", nn.Flatten())
        body.add_module("fc", nn.Linear(inputs, self.classes))
        return body
