"""Groups of weights that live or die together, and the group lasso on them.

The groups of one kind partition a weight (Wen et al. 2016, arXiv 1608.03665): rows are everything
that leads to one filter or neuron, channels everything that one input channel or neuron leads to,
shapes one position of the kernel in one input channel over all filters, kernels what one filter
has for one input channel, and a layer is one group by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GROUPS", "GroupKind", "Grouping", "Groups", "blocks", "kinds_in"]

GroupKind = Literal["row", "channel", "shape", "kernel", "layer"]

Groups = Literal[
    "filter-channel", "filter-shape", "filter", "channel", "shape", "filter-2d", "depth"
]
"""Which kinds are penalised together, by the names of the paper."""

GROUPS: dict[Groups, tuple[GroupKind, ...]] = {
    "filter-channel": ("row", "channel"),
    "filter-shape": ("row", "shape"),
    "filter": ("row",),
    "channel": ("channel",),
    "shape": ("shape",),
    "filter-2d": ("kernel",),
    "depth": ("layer",),
}
"""The kinds in a convolution; see `kinds_in` for other layers."""

_WITHIN: dict[GroupKind, tuple[int, ...]] = {
    "row": (2, 3),
    "channel": (1, 3),
    "shape": (1,),
    "kernel": (3,),
    "layer": (0, 1, 2, 3),
}
"""The dimensions of `blocks` that lie inside one group."""


def kinds_in(module: nn.Module, groups: Groups) -> tuple[GroupKind, ...]:
    """The kinds of groups that a layer is divided into.

    Those of `GROUPS`, but for a Linear layer beside convolutions with two-dimensional filters: it
    has none, so that its rows and columns are the groups. Its shapes are its channels.
    """
    if groups == "filter-2d" and isinstance(module, nn.Linear):
        return GROUPS["filter-channel"]
    return GROUPS[groups]


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

    def spread(self, values: Tensor) -> Tensor:
        """One value a group, [count], at all weights of the group: of the shape of the weight."""
        shape = blocks(self.weight, self.conv_groups).shape
        within = _WITHIN[self.kind]
        broad = [1 if dim in within else extent for dim, extent in enumerate(shape)]
        return values.view(broad).expand(shape).reshape(self.weight.shape)

    def count_in(self, chosen: Tensor) -> Tensor:
        """How many of the chosen weights lie in each group, [count].

        Args:
            chosen: bool, of the shape of the weight.
        """
        return blocks(chosen, self.conv_groups).sum(dim=_WITHIN[self.kind]).flatten()

    def add_gradient(self, to: Tensor, strength: float, squares: Tensor | None = None) -> None:
        """Add `strength` times the gradient of `penalty` to a tensor, in place.

        The gradient is w / ‖w‖ in each group, and 0 in a group that is zero.

        Args:
            to: of the shape of the weight.
            strength: factor of the gradient.
            squares: of the weights, where the caller has them for another grouping already.
        """
        with torch.no_grad():
            # A zero group has an infinite reciprocal, which any finite number can stand for.
            reciprocals = self._sums_of_squares(squares).rsqrt_().clamp_(max=1e18)
            to.view_as(self._view).addcmul_(self._view, reciprocals, value=strength)

    def shrink(self, threshold: float) -> None:
        """Shorten each group's norm by `threshold`, in place; groups that are shorter become zero.

        This is the proximal operator of ``threshold * penalty``: block soft-thresholding.
        """
        with torch.no_grad():
            norms = self._sums_of_squares().sqrt_()
            shorter = torch.where(norms > threshold, 1 - threshold / norms, 0.0)
            self._view.mul_(shorter)

    @cached_property
    def _view(self) -> Tensor:
        return blocks(self.weight.detach(), self.conv_groups)

    def _sums_of_squares(self, squares: Tensor | None = None) -> Tensor:
        """The squared norm of each group, to be broadcast over the blocks."""
        # Over columns this is seven times faster than torch.linalg.vector_norm on a CPU.
        squares = self._view.square() if squares is None else squares.view_as(self._view)
        return squares.sum(dim=_WITHIN[self.kind], keepdim=True)
