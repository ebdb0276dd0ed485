"""Gradual magnitude pruning."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from robench.methods.base import Method, TrainState
from robench.methods.masks import Scope, magnitude_masks
from robench.spec.base import Frozen

__all__ = ["GradualMagnitude", "cubic_level"]


class GradualMagnitude(Method):
    """Zero ever more of the smallest weights while the network is trained from scratch.

    Zhu and Gupta 2017 (arXiv 1710.01878). Between two points of the budget the level rises along
    s_f + (s_i - s_f) (1 - (t - t_0) / (n Δt))³: fast at first, while there is much to spare, and
    slower as it nears its end. A weight that is gone stays gone. The rest of the budget is for the
    network to recover.
    """

    name = "gradual-magnitude"
    starts_from = "init"

    class Params(Frozen):
        """When pruning begins and ends, how often it happens, and where weights compete."""

        begin: Annotated[float, Field(ge=0, lt=1)] = 0.1
        """Share of the budget after which the first weights go."""
        end: Annotated[float, Field(gt=0, lt=1)] = 0.7
        """Share of the budget after which the level is reached; the rest is for recovery."""
        interval_steps: Annotated[int, Field(ge=1)] = 20
        """Δt, optimiser steps from one pruning to the next."""
        initial_level: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """s_i, the level at `begin`; where a lower one is asked for, that one."""
        scope: Scope = "global"
        """``global`` compares all weights of the network; ``layer``, as the authors do, those of
        each layer, so that all have the same level."""

        @model_validator(mode="after")
        def _ends_after_it_begins(self) -> GradualMagnitude.Params:
            if self.begin >= self.end:
                raise ValueError(f"begin ({self.begin:g}) must be below end ({self.end:g})")
            return self

    params: Params

    def prepare(self, state: TrainState) -> None:
        """Prune before the first step, where the schedule begins there."""
        self._prune(state)

    def after_step(self, state: TrainState) -> None:
        """Prune to the level of the schedule, every so many steps."""
        self._prune(state)

    def _prune(self, state: TrainState) -> None:
        first = int(self.params.begin * state.budget)
        last = max(int(self.params.end * state.budget), 1)
        since = state.step - first
        is_due = since % self.params.interval_steps == 0 or state.step == last
        if not (first <= state.step <= last and is_due):
            return
        initial = min(self.params.initial_level, state.level)
        level = cubic_level(initial, state.level, since / (last - first) if last > first else 1.0)
        if level:
            state.masks = magnitude_masks(state.prunable, level, scope=self.params.scope)


def cubic_level(initial: float, final: float, share: float) -> float:
    """The level after a share of the way from the initial to the final one.

    Args:
        initial: s_i.
        final: s_f.
        share: (t - t_0) / (n Δt), in [0, 1].
    """
    return final + (initial - final) * (1 - share) ** 3
