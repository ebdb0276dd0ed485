"""What a convolution says of its kernel, as pairs of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["padding_of", "pair"]


def pair(extent: tuple[int, ...]) -> tuple[int, int]:
    """The vertical and the horizontal extent."""
    return extent[0], extent[1]


def padding_of(conv: nn.Conv2d) -> tuple[int, int]:
    """Zeros above and beside the maps that a convolution reads.

    Raises:
        TypeError: the padding is a word.
    """
    if isinstance(conv.padding, str):
        raise TypeError(f"padding {conv.padding!r}")
    return pair(conv.padding)
