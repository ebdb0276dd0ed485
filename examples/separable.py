"""A small network of depthwise separable convolutions.

Howard et al. 2017, *MobileNets: efficient convolutional neural networks for mobile vision
applications* (arXiv 1704.04861): a 3x3 convolution of each channel by itself, then a 1x1
convolution across channels, each followed by BatchNorm and ReLU. Nearly all weights and MACs are in
the 1x1 convolutions, which is what pruning finds there.
"""

from typing import Annotated

from pydantic import Field, PositiveInt
from torch import nn

from robench.models.base import Network
from robench.spec.base import Frozen

__all__ = ["Separable"]


class Separable(Network):
    """A 3x3 convolution, depthwise separable blocks, average pooling, one linear layer."""

    name = "separable"

    class Params(Frozen):
        """Widths of the blocks."""

        widths: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (16, 32, 64)
        """Channels after the first convolution and after each block, which halves the image."""

    def layers(self, params: Params, /) -> nn.Sequential:
        """The layers after normalisation, from `self.input_shape` to `self.classes` logits."""
        channels, _, _ = self.image_shape(smallest_px=2 ** (len(params.widths) - 1))
        first, *rest = params.widths
        body = nn.Sequential(*_convolution(channels, first))
        for before, after in zip(params.widths, rest, strict=False):
            body.extend(_convolution(before, before, stride=2, groups=before))  # depthwise
            body.extend(_convolution(before, after, kernel=1))  # pointwise
        body.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(rest[-1], self.classes)])
        return body


def _convolution(
    before: int, after: int, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Convolution without a bias, which BatchNorm has, then BatchNorm and ReLU."""
    convolution = nn.Conv2d(
        before, after, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [convolution, nn.BatchNorm2d(after), nn.ReLU()]
