"""Pruning at random: what a method must beat to have chosen anything."""

from __future__ import annotations

from robench.methods.base import Method, TrainState
from robench.methods.masks import Scope, random_masks
from robench.spec.base import Frozen

__all__ = ["Random"]


class Random(Method):
    """Zero weights at random in the dense network, then fine-tune the rest.

    The baseline of every pruning study (Blalock et al. 2020, arXiv 2003.03033).
    """

    name = "random"
    starts_from = "dense"

    class Params(Frozen):
        """Where weights compete."""

        scope: Scope = "global"
        """``layer`` gives each layer the same level; ``global`` leaves that to chance."""

    params: Params

    def prepare(self, state: TrainState) -> None:
        """Draw the masks; the loop holds them from here on."""
        state.masks = random_masks(
            state.prunable, state.level, generator=state.generator, scope=self.params.scope
        )
