"""One-shot magnitude pruning."""

from __future__ import annotations

from robench.methods.base import Method, TrainState
from robench.methods.masks import Scope, magnitude_masks
from robench.spec.base import Frozen

__all__ = ["Magnitude"]


class Magnitude(Method):
    """Zero the smallest weights of the dense network, then fine-tune the rest.

    Han et al. 2015 (arXiv 1506.02626), in one shot.
    """

    name = "magnitude"
    starts_from = "dense"

    class Params(Frozen):
        """Where weights compete."""

        scope: Scope = "global"
        """``global`` compares all weights of the network, ``layer`` those of each layer."""

    params: Params

    def prepare(self, state: TrainState) -> None:
        """Choose the masks; the loop holds them from here on."""
        state.masks = magnitude_masks(state.prunable, state.level, scope=self.params.scope)
