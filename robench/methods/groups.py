"""Groups of weights that live or die together, and the group lasso on them.

The groups of one kind partition a weight: rows are everything that leads to one filter or neuron,
channels everything that one input channel or neuron leads to, shapes one position of the kernel in
one input channel, over all filters (Wen et al. 2016, arXiv 1608.03665).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GroupKind", "Grouping", "blocks"]

GroupKind = Literal["row", "channel", "shape"]

_WITHIN: dict[GroupKind, tuple[int, ...]] = {"row": (2, 3), "channel": (1, 3), "shape": (1,)}
"""The dimensions of `blocks` that lie inside one group."""


def blocks(weight: Tensor, conv_groups: int = 1) -> Tensor:
    """The weight of a layer as [G, outputs / G, inputs / G, kernel], a view.

    Args:
        weight: [outputs, inputs] of a Linear or [outputs, inputs / G, height, width] of a Conv2d.
        conv_groups: G, the `groups` of a Conv2d; a grouped convolution is G separate ones.
    """
    outputs, inputs = weight.shape[:2]
    return weight.view(conv_groups, outputs // conv_groups, inputs, math.prod(weight.shape[2:]))


@dataclass(frozen=True, eq=False)
class Grouping:
    """All groups of one kind in one weight.

    Args:
        weight: the weight of a Conv2d or Linear; changed in place by `shrink`.
        kind: what one group is.
        conv_groups: the `groups` of a Conv2d.
    """

    weight: Tensor
    kind: GroupKind
    conv_groups: int = 1

    @classmethod
    def of(cls, module: nn.Conv2d | nn.Linear, kind: GroupKind) -> Grouping:
        """The groups of a layer's weight."""
        groups = module.groups if isinstance(module, nn.Conv2d) else 1
        return cls(module.weight, kind, groups)

    @property
    def size(self) -> int:
        """Weights in each group."""
        shape = blocks(self.weight, self.conv_groups).shape
        return math.prod(shape[dim] for dim in _WITHIN[self.kind])

    @property
    def count(self) -> int:
        """Number of groups."""
        return self.weight.numel() // self.size

    def norms(self) -> Tensor:
        """The Euclidean norm of each group, [count], in the order of filters or inputs."""
        view = blocks(self.weight, self.conv_groups)
        norms: Tensor = torch.linalg.vector_norm(view, dim=_WITHIN[self.kind])
        return norms.flatten()

    def penalty(self) -> Tensor:
        """The sum of the norms, a scalar."""
        return self.norms().sum()

    def add_gradient(self, to: Tensor, strength: float) -> None:
        """Add `strength` times the gradient of `penalty` to a tensor, in place.

        The gradient is w / ‖w‖ in each group, and 0 in a group that is zero.

        Args:
            to: of the shape of the weight.
            strength: factor of the gradient.
        """
        with torch.no_grad():
            view, norms = self._view_and_norms()
            # The weights of a zero group are zero, so that any divisor will do.
            divisors = torch.where(norms == 0, 1.0, norms)
            blocks(to, self.conv_groups).addcdiv_(view, divisors, value=strength)

    def shrink(self, threshold: float) -> None:
        """Shorten each group's norm by `threshold`, in place; groups that are shorter become zero.

        This is the proximal operator of ``threshold * penalty``: block soft-thresholding.
        """
        with torch.no_grad():
            view, norms = self._view_and_norms()
            view.mul_(torch.where(norms > threshold, 1 - threshold / norms, 0.0))

    def _view_and_norms(self) -> tuple[Tensor, Tensor]:
        """The blocks and their norms, to be broadcast over them."""
        view = blocks(self.weight, self.conv_groups)
        # Over columns this is seven times faster than torch.linalg.vector_norm on a CPU.
        return view, view.square().sum(dim=_WITHIN[self.kind], keepdim=True).sqrt_()
