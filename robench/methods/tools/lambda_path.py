"""The strength of a penalty that is to lead a network to a level: a path, then a bisection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

__all__ = ["LambdaPath"]

CLOSED = 1.02
"""A bracket whose ends are nearer than this factor is not halved any more."""


class LambdaPath:
    """λ of one segment of training after another.

    λ rises by a factor until the network gets beyond the level. The caller takes the network back
    to where that segment began, and from there λ is bisected, on a logarithmic scale, between the
    strongest value that stayed below the level and the weakest that did not; each segment begins
    where the last one that stayed below has ended. The path is over when the level is near, that
    is within one weight in a hundred and within a tenth of the weights that it leaves, or when the
    bracket is closed. With a factor of 1 λ stays what it is.

    Args:
        first: λ of the first segment, positive.
        factor: how much λ rises, at least 1.
        target: the level.
    """

    def __init__(self, first: float, factor: float, target: float) -> None:
        self.strength = first
        self.is_over = False
        self._factor = factor
        self._nearest = target - min(0.01, 0.1 * (1 - target))
        self._weak = 0.0
        self._strong = math.inf
        self._segments: list[tuple[float, int, float, bool]] = []

    @property
    def notes(self) -> list[JsonValue]:
        """For the record: λ, steps, and level after each segment; segments of one λ are one."""
        return [
            {"lambda_g": strength, "steps": steps, "level": level, "undone": undone}
            for strength, steps, level, undone in self._segments
        ]

    def stayed_below(self, steps: int, level: float) -> None:
        """The segment is over, and the network has come to this level, which is no higher."""
        self._note(steps, level, undone=False)
        self._weak = self.strength
        self.is_over = level >= self._nearest
        self._choose()

    def went_beyond(self, steps: int, level: float) -> None:
        """The segment was broken off at this level, which is too high, and taken back."""
        self._note(steps, level, undone=True)
        self._strong = self.strength
        self.is_over = self._factor == 1
        self._choose()

    def _choose(self) -> None:
        """λ of the next segment."""
        if math.isinf(self._strong):
            self.strength *= self._factor
        elif self._weak == 0:
            self.strength /= self._factor
        else:
            self.is_over |= self._strong < CLOSED * self._weak
            self.strength = math.sqrt(self._weak * self._strong)

    def _note(self, steps: int, level: float, *, undone: bool) -> None:
        if self._segments and not undone:
            strength, before, _, was_undone = self._segments[-1]
            if strength == self.strength and not was_undone:
                self._segments[-1] = (strength, before + steps, level, False)
                return
        self._segments.append((self.strength, steps, level, undone))
