"""Merging in a network that is being trained: rounds of plan, attempt, and undoing."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np
import torch

from robench.methods.masks import count_zeros
from robench.methods.noiseout.fold import carry_out
from robench.methods.noiseout.links import Widths
from robench.methods.noiseout.moments import mean_strongest
from robench.methods.noiseout.plan import Candidates, plan_merges, reading
from robench.methods.tools.frozen_units import Silence
from robench.methods.tools.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robench.methods.base import TrainState
    from robench.methods.noiseout.heads import NoiseHeads
    from robench.methods.noiseout.links import Link
    from robench.methods.noiseout.plan import Choice, Merge
    from robench.methods.noiseout.probe import Probe
    from robench.models.chain import Layer

__all__ = ["Merger"]


class Merger:
    """Takes units out of a network, and holds out those that are gone.

    Args:
        layers: the network, a chain.
        links: where units can be merged.
        probe: measures activations and scores.
        choose: see `NoiseOut.Params`.
        heads: noise outputs, if there are any.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        links: Sequence[Link],
        probe: Probe,
        choose: Choice,
        heads: NoiseHeads | None,
    ) -> None:
        self._layers, self._links = layers, links
        self._probe, self._choose, self._heads = probe, choose, heads
        self._alive = [np.ones(link.layer.units, dtype=np.bool_) for link in links]
        self._silence = Silence()
        self.undone = 0
        """How many attempts were undone."""

    @property
    def units(self) -> dict[str, int]:
        """How many units each layer has left, by its name."""
        pairs = zip(self._links, self._alive, strict=True)
        return {link.layer.name: int(alive.sum()) for link, alive in pairs}

    def correlation(self, state: TrainState) -> dict[str, float | None]:
        """For each layer, the mean over its units of the largest |ρ| with another one."""
        moments = self._probe.moments(state.model, self._links)
        names = [link.layer.name for link in self._links]
        return dict(zip(names, map(mean_strongest, moments), strict=True))

    def merge(self, state: TrainState, goal: int, wanted: int, floor: float) -> bool:
        """One round: merge until `goal`, come what may, and on while the score bears it.

        Args:
            state: of the run.
            goal: number of zero weights to come to at least.
            wanted: number of zero weights at which to stop.
            floor: the score below which merges beyond the goal are undone.

        Returns:
            Whether nothing can go any more without going beyond `wanted`.
        """
        plan = self._plan(state, wanted)
        attempts = _Attempts(state, self._links, plan, self._heads)
        zeros = [count_zeros(state.prunable), *(merge.zeros for merge in plan)]

        def is_borne(count: int) -> bool:
            attempts.make(count)
            return self._probe.score(state.model) >= floor

        fits = min(bisect_left(zeros, goal), len(plan))
        too_many = len(plan) + 1
        if fits and not is_borne(fits):
            too_many = fits + 1  # so far it has to go, but no further
        count = len(plan)  # often everything is borne
        while too_many - fits > 1:
            if is_borne(count):
                fits = count
            else:
                too_many = count
                self.undone += 1
            count = (fits + too_many) // 2
        attempts.make(fits)
        self._commit(state, plan[:fits])
        return fits == len(plan)

    def hold(self) -> None:
        """Keep what feeds units that are gone at zero; call it after every step."""
        self._silence.apply()

    def _plan(self, state: TrainState, wanted: int) -> list[Merge]:
        moments = self._probe.moments(state.model, self._links)
        candidates = [
            Candidates(
                place, moments[place], reading(link, link.reader.module.weight),
                self._alive[place], self._choose,
            )
            for place, link in enumerate(self._links)
        ]  # fmt: skip
        widths = Widths(self._layers, self._links, [int(alive.sum()) for alive in self._alive])
        return plan_merges(candidates, widths, count_zeros(state.prunable), wanted)

    def _commit(self, state: TrainState, merges: Sequence[Merge]) -> None:
        """Mask what went, for good."""
        for merge in merges:
            self._alive[merge.place][merge.unit] = False
        self._silence = Silence()
        for link, alive in zip(self._links, self._alive, strict=True):
            gone = torch.as_tensor(~alive, device=link.layer.module.weight.device)
            self._silence.add(link.layer, gone)
            _mask(state, f"{link.layer.name}.weight")[gone] = False
            link.by_unit(_mask(state, f"{link.reader.name}.weight"))[:, gone] = False


class _Attempts:
    """Carries out the first so many merges of a plan, each time from where it began."""

    def __init__(
        self,
        state: TrainState,
        links: Sequence[Link],
        plan: Sequence[Merge],
        heads: NoiseHeads | None,
    ) -> None:
        self._state, self._links, self._plan, self._heads = state, links, plan, heads
        self._before = Snapshot(state)
        parameters = heads.parameters if heads is not None else ()
        self._heads_before = [(one, one.detach().clone()) for one in parameters]
        self._made = 0

    def make(self, count: int) -> None:
        """Undo, bit by bit as it was, what the last call did, and carry out so many merges."""
        if count == self._made:
            return
        if self._made:
            self._before.restore(self._state)
            with torch.no_grad():
                for parameter, kept in self._heads_before:
                    parameter.copy_(kept)
        carry_out(self._links, self._plan[:count], self._state.optimiser, self._heads)
        self._made = count


def _mask(state: TrainState, name: str) -> torch.Tensor:
    """The mask of a weight, of ones where it has none yet."""
    if name not in state.masks:
        state.masks[name] = torch.ones_like(state.prunable[name], dtype=torch.bool)
    return state.masks[name]
