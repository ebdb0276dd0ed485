"""Image sizes other than the example's: which ones a network takes, and which it must refuse."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from robench.errors import InputError
from robench.graph.observe import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["OneSize", "lengths_taken", "only_shape", "sizes_taken"]


_LARGER_BY_PX = 32
"""Largest difference of a larger image, in pixels: an image of twice 224 pixels takes four times as
long and proves no more."""


class OneSize(nn.Module):
    """Identity for inputs of one shape; refuses others.

    Args:
        shape: (C, H, W) of one input.
    """

    is_one_step: ClassVar[bool] = True

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, inputs: Tensor) -> Tensor:
        """[N, C, H, W] → the same.

        Raises:
            InputError: the inputs are of another shape.
        """
        if tuple(inputs.shape[1:]) != self.shape:
            raise InputError(
                f"this compacted network was given inputs of shape {tuple(inputs.shape)}",
                allowed=f"(N, {', '.join(map(str, self.shape))}): folded constants hold for "
                "this size only",
                hint="compact the network with an example of the size that you need, or with "
                "constants='keep'",
            )
        return inputs

    def extra_repr(self) -> str:
        """The shape, in the representation of the network."""
        return str(self.shape)


def only_shape(model: nn.Module) -> tuple[int, ...] | None:
    """The only input shape if folded constants hold for one size only, else ``None``."""
    return next((part.shape for part in model.modules() if isinstance(part, OneSize)), None)


def sizes_taken(model: nn.Module, example: Tensor) -> list[tuple[int, ...]]:
    """Some image sizes other than the example's that a network takes.

    Larger, smaller, square and other sizes are tried. Taking none of them is no error.

    Args:
        model: in evaluation mode.
        example: [N, C, …] as the network takes it.

    Returns:
        [H, W] of each, or the other dimensions after the channels; at most four.
    """
    channels = example.shape[1]
    return _taken(model, example, tuple(example.shape[2:]), lambda size: (channels, *size))


def lengths_taken(model: nn.Module, example: Tensor) -> list[tuple[int, ...]]:
    """Some input shapes that a network takes and that share only the last dimension.

    These are other lengths of token sequences, [N, L, F], whose features are last.

    Args:
        model: in evaluation mode.
        example: [N, …, F] as the network takes it.

    Returns:
        [L, …, F] of each; at most four.
    """
    *length, features = example.shape[1:]
    found = _taken(model, example, tuple(length), lambda other: (*other, features))
    return [(*other, features) for other in found]


def _taken(
    model: nn.Module,
    example: Tensor,
    own: tuple[int, ...],
    shaped: Callable[[tuple[int, ...]], tuple[int, ...]],
) -> list[tuple[int, ...]]:
    """Sizes other than the example's that a network takes."""
    taken: list[tuple[int, ...]] = []
    for alternatives in _other_sizes(own):
        others = (size for size in alternatives if size != own and size not in taken)
        taken += islice((size for size in others if _takes(model, example, shaped(size))), 1)
    return taken


def _takes(model: nn.Module, example: Tensor, shape: tuple[int, ...]) -> bool:
    inputs = example.new_zeros(1, *shape)
    try:
        with torch.no_grad():
            logits = run(model, inputs)
    except InputError:
        return False
    return logits.ndim == 0 or len(logits) == len(inputs)  # else it splits one image into several


def _other_sizes(size: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
    """Sizes to try: slightly larger and odd; much larger; half as high; smaller.

    Of several alternatives, the first one that the network takes is used.
    """
    if not size:
        return []
    last = len(size) - 1
    return [
        [tuple(side + 1 + (place == last) for place, side in enumerate(size))],
        [tuple(side + min(side, _LARGER_BY_PX) for side in size), tuple(2 * side for side in size)],
        [tuple(side if place else max(side // 2, 1) for place, side in enumerate(size))],
        [tuple(max(side * 3 // 4, 1) + (place == last) for place, side in enumerate(size))],
    ]
