"""AlexNet with the grouped convolutions of the original."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator
from torch import nn

from robench.models.base import Network
from robench.spec.base import Frozen

__all__ = ["AlexNet"]


class AlexNet(Network):
    """Five convolutions, three of them in two groups, and three linear layers, for 224 pixels.

    Krizhevsky, Sutskever & Hinton 2012, the network that Wen et al. 2016 (arXiv 1608.03665) make
    sparse on ImageNet: 60,965,224 parameters there. Local response normalisation is left out: with
    inputs of unit variance its constants make it all but a division by a number, and it has been
    found to add no accuracy (Simonyan & Zisserman 2015, arXiv 1409.1556). Initial weights are those
    of robench's other networks. The first linear layer fits itself to the image, which must have
    63x63 pixels or more: below that the last pooling has no whole window left.
    """

    name = "alexnet"

    class Params(Frozen):
        """Shape of the network."""

        widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (
            *(96, 256, 384, 384, 256),
        )
        """Filters of the five convolutions."""
        hidden: PositiveInt = 4096
        """Units of each of the two hidden linear layers."""
        groups: PositiveInt = 2
        """Groups of the second, fourth and fifth convolution: 2 as on the two GPUs of the original;
        with 1 every filter sees every map, and filters can be taken out."""
        dropout: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.5
        """Share of units that are dropped before each of the hidden linear layers in training."""

        @model_validator(mode="after")
        def _groups_divide_widths(self) -> Self:
            if any(width % self.groups for width in self.widths):
                raise ValueError(f"groups {self.groups} must divide all widths {self.widths}")
            return self

    def layers(self, params: Params, /) -> nn.Sequential:
        """Convolutions with ReLU and three poolings, then the linear layers with dropout."""
        channels, height, width = self.image_shape(smallest_px=63)
        one, two, three, four, five = params.widths
        groups, pooled = params.groups, (1, 2, 5)
        body = nn.Sequential()
        for number, conv in enumerate(
            (
                nn.Conv2d(channels, one, kernel_size=11, stride=4, padding=2),
                nn.Conv2d(one, two, kernel_size=5, padding=2, groups=groups),
                nn.Conv2d(two, three, kernel_size=3, padding=1),
                nn.Conv2d(three, four, kernel_size=3, padding=1, groups=groups),
                nn.Conv2d(four, five, kernel_size=3, padding=1, groups=groups),
            ),
            start=1,
        ):
            body.add_module(f"conv{number}", conv)
            body.add_module(f"relu{number}", nn.ReLU())
            if number in pooled:
                body.add_module(f"pool{number}", nn.MaxPool2d(kernel_size=3, stride=2))
        body.add_module("flatten", nn.Flatten())
        features = five * _side_after(height) * _side_after(width)
        for number, (inputs, outputs) in enumerate(
            ((features, params.hidden), (params.hidden, params.hidden)), start=6
        ):
            body.add_module(f"dropout{number}", nn.Dropout(params.dropout))
            body.add_module(f"fc{number}", nn.Linear(inputs, outputs))
            body.add_module(f"relu{number}", nn.ReLU())
        body.add_module("fc8", nn.Linear(params.hidden, self.classes))
        return body


def _side_after(side_px: int) -> int:
    """Height or width after the first convolution and the three poolings."""
    side_px = (side_px + 2 * 2 - 11) // 4 + 1
    for _ in range(3):
        side_px = (side_px - 3) // 2 + 1
    return side_px
