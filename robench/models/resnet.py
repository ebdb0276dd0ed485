"""Residual networks for small images (He et al. 2016, arXiv 1512.03385, section 4.2)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, PositiveInt, model_validator
from torch import nn
from torch.nn import functional as F

from robench.models.base import Network
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ResNet", "ResNet20", "ResNet32"]

Shortcut = Literal["padding", "projection"]


def _checked_depth(depth: int) -> int:
    if depth < 8 or depth % 6 != 2:
        raise ValueError("the depth must be 6n + 2 with n of 1 or more: 8, 14, 20, 26, 32, …")
    return depth


class Shape(Frozen):
    """What all of these networks let one choose."""

    widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (16, 32, 64)
    """Filters of the three stages, each of which works on maps half as large as the one before."""
    shortcut: Shortcut = "padding"
    """What runs beside the two blocks that change the number of maps: every second pixel with maps
    of zeros added, which needs no weights (option A of the paper and its choice for these
    networks), or a 1x1 convolution with BatchNorm (option B, ``projection``)."""

    @model_validator(mode="after")
    def _padding_only_adds(self) -> Self:
        if self.shortcut == "padding" and list(self.widths) != sorted(self.widths):
            raise ValueError(f"widths {self.widths} that shrink need the shortcut 'projection'")
        return self


class ResNet(Network):
    """A residual network of any depth 6n + 2, for 32-pixel images (He et al. 2016).

    A 3x3 convolution; three stages of n blocks of two 3x3 convolutions; the average of each map;
    one linear layer. BatchNorm follows each convolution and takes the place of its bias. Initial
    weights are normal with variance 2 / fan-in (He et al. 2015), as for robench's other networks.
    Takes images of 4x4 pixels and more.
    """

    name = "resnet"

    class Params(Shape):
        """Shape of the network."""

        depth: Annotated[int, AfterValidator(_checked_depth)] = 20
        """Layers with weights on the longest way from input to output: 6n + 2."""

    def layers(self, params: Params, /) -> nn.Sequential:
        """The first convolution, three stages and the linear classifier."""
        return _layers(self, params, params.depth)


class ResNet20(Network):
    """The residual network of 20 layers for 32-pixel images (He et al. 2016).

    269,722 parameters and 40.6 million multiply-accumulates for CIFAR-10; 272,474 and 40.8 million
    with projections. It is `resnet` at this depth.
    """

    name = "resnet20"
    Params = Shape

    def layers(self, params: Shape, /) -> nn.Sequential:
        """The first convolution, three stages and the linear classifier."""
        return _layers(self, params, depth=20)


class ResNet32(Network):
    """The residual network of 32 layers for 32-pixel images (He et al. 2016).

    464,154 parameters and 68.9 million multiply-accumulates for CIFAR-10; 466,906 and 69.1 million
    with projections. It is `resnet` at this depth.
    """

    name = "resnet32"
    Params = Shape

    def layers(self, params: Shape, /) -> nn.Sequential:
        """The first convolution, three stages and the linear classifier."""
        return _layers(self, params, depth=32)


def _layers(network: Network, shape: Shape, depth: int) -> nn.Sequential:
    channels, _, _ = network.image_shape(smallest_px=4)
    inputs = shape.widths[0]
    body = nn.Sequential()
    body.add_module("conv1", _convolution(channels, inputs))
    body.add_module("norm1", nn.BatchNorm2d(inputs))
    body.add_module("relu1", nn.ReLU())
    for number, outputs in enumerate(shape.widths, start=1):
        stage = nn.Sequential()
        for place in range(1, (depth - 2) // 6 + 1):
            stride = 2 if number > 1 and place == 1 else 1
            stage.add_module(f"block{place}", _Block(inputs, outputs, stride, shape.shortcut))
            inputs = outputs
        body.add_module(f"stage{number}", stage)
    body.add_module("pool", nn.AdaptiveAvgPool2d(1))
    body.add_module("flatten", nn.Flatten())
    body.add_module("fc", nn.Linear(inputs, network.classes))
    return body


class _Block(nn.Module):
    """Two convolutions beside a shortcut, and the ReLU of their sum."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            OrderedDict(
                conv1=_convolution(inputs, outputs, stride),
                norm1=nn.BatchNorm2d(outputs),
                relu1=nn.ReLU(),
                conv2=_convolution(outputs, outputs),
                norm2=nn.BatchNorm2d(outputs),
            )
        )
        self.shortcut = _shortcut(inputs, outputs, stride, shortcut)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        summed: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return summed


class _Padding(nn.Module):
    """Every `stride`-th pixel, followed by as many maps of zeros as are missing."""

    def __init__(self, missing: int, stride: int) -> None:
        super().__init__()
        self.missing = missing
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


def _shortcut(inputs: int, outputs: int, stride: int, kind: Shortcut) -> nn.Module:
    if (inputs, stride) == (outputs, 1):
        return nn.Identity()
    if kind == "padding":
        return _Padding(outputs - inputs, stride)
    conv = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs)))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
