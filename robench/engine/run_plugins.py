"""Plug-ins of a run's own files that join a suite which does not name them."""

from __future__ import annotations

from collections.abc import Sequence

from robench.spec import Grid, Suite
from robench.stages import stage

__all__ = ["with_guests"]


def with_guests(suite: Suite, found: Sequence[tuple[str, str]]) -> Suite:
    """The suite with these plug-ins in its evaluations.

    A stage is done with every network, unless the suite asks for it itself; what else there is
    joins the stages that have a part for it, as attacks do.

    Args:
        suite: a checked suite.
        found: kind and name of each plug-in: ``[("attack", "mine"), ("stage", "margin")]``.
    """
    return suite.model_copy(update={"grids": tuple(_joined(grid, found) for grid in suite.grids)})


def _joined(grid: Grid, found: Sequence[tuple[str, str]]) -> Grid:
    options = {name: asked.with_guests(found) for name, asked in grid.evaluate.options.items()}
    for kind, name in found:
        if kind == "stage" and name not in options and stage(name).is_evaluation:
            options[name] = stage(name).Options()
    return grid.model_copy(
        update={"evaluate": grid.evaluate.model_copy(update={"options": options})}
    )
