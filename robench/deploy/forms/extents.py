"""Sizes of a convolution, as pairs of numbers: vertical, horizontal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Geometry", "padding_of", "pair"]


@dataclass(frozen=True)
class Geometry:
    """Sizes of a convolution, without its weights.

    Attributes:
        channels, filters: of all groups together.
        groups: number of groups.
        kernel, stride, padding, dilation: as ``Conv2d`` has them, vertical first.
        has_bias: whether the filters have a bias.
    """

    channels: int
    filters: int
    groups: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    has_bias: bool

    @classmethod
    def of(cls, conv: nn.Conv2d) -> Geometry:
        """The sizes of a convolution.

        Raises:
            TypeError: the padding is a word.
        """
        return cls(
            channels=conv.in_channels,
            filters=conv.out_channels,
            groups=conv.groups,
            kernel=pair(conv.kernel_size),
            stride=pair(conv.stride),
            padding=padding_of(conv),
            dilation=pair(conv.dilation),
            has_bias=conv.bias is not None,
        )


def pair(extent: tuple[int, ...]) -> tuple[int, int]:
    """The vertical and the horizontal size."""
    return extent[0], extent[1]


def padding_of(conv: nn.Conv2d) -> tuple[int, int]:
    """Rows and columns of zeros on each side of the input of a convolution.

    Raises:
        TypeError: the padding is a word.
    """
    if isinstance(conv.padding, str):
        raise TypeError(f"padding {conv.padding!r}")
    return pair(conv.padding)
