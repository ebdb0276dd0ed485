"""Degraded images, kind by kind and level by level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from robench.spec import Cell
from robench.spec.base import Frozen
from robench.stages.base import Context, Outcome, Premises, Stage
from robench.stages.declarations.data_kinds import classified_images
from robench.stages.declarations.kinds import (
    DegradeOptions,
    ResolvedDegradeOptions,
    kinds_in,
    resolve_degraded,
)

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = ["Degrade", "DegradeDetails"]


class DegradeDetails(Frozen):
    """What the record says beside the metrics."""

    conditions: tuple[str, ...]
    """Kind and level of each row of the arrays."""
    conventions: dict[str, str]
    """Kind → how its levels are to be read at this image size."""
    left_out: dict[str, str]
    """Kind → why these images cannot bear it."""
    undegraded: dict[str, tuple[float, ...]]
    """Kind → levels that leave the pictures as they are."""


class Degrade(Stage[DegradeOptions]):
    """Accuracy and answers on degraded images, kind by kind and level by level."""

    name = "degrade"
    Options = DegradeOptions
    Details = DegradeDetails
    imports = ("robench.stages.degrade",)

    def applies_to(self, data: Data) -> Literal[True] | str:
        """To images of classes."""
        return classified_images(data)

    def resolve(self, asked: DegradeOptions, premises: Premises) -> ResolvedDegradeOptions:
        """Kinds with their versions and levels."""
        return resolve_degraded(asked.kinds, asked.samples, premises.data)

    def plugins_of(self, cell: Cell) -> Iterator[tuple[str, str, str | None]]:
        """The kinds."""
        return kinds_in(cell)

    def run(self, cell: Cell, context: Context) -> Outcome:
        """See `robench.stages.degrade.degrade`."""
        from robench.stages.degrade import degrade

        return degrade(cell, context)
