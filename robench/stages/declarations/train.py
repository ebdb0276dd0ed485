"""Training a network with one method to one level, or taking one that was trained elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pydantic import JsonValue

from robench.spec import Cell, Distortion, StageOptions, as_json
from robench.stages.base import Context, FlaggedDetails, MetricInfo, Outcome, Stage
from robench.stages.declarations.kinds import kinds_in, resolve_kinds

__all__ = ["Train", "TrainDetails", "resolve_drawn"]


def _level(name: str, title: str, meaning: str) -> MetricInfo:
    """The level by a measure of the papers."""
    return MetricInfo(name, title, meaning, unit="share", bounds=(0.0, 1.0), shown="levels")


class TrainDetails(FlaggedDetails):
    """What the record says beside the metrics."""

    sparsity: dict[str, Any]
    """`robench.measure.sparsity.SparsityReport` as JSON."""
    loss: tuple[float, ...] = ()
    """At up to a hundred steps at even distances, the last one included."""
    method: dict[str, Any] = {}
    """What the method noted down."""
    noise: dict[str, Any] | None = None
    """Of adversarial noise, what it left of the images."""
    normalisation: dict[str, Any] | None = None
    """Of a given network, what it subtracts and divides by, and who says so."""


class Train(Stage[StageOptions]):
    """Train a network with one method to one level; how good and how sparse it is."""

    name = "train"
    is_evaluation = False
    Details = TrainDetails
    imports = ("robench.stages.train", "robench.methods")
    metrics = (
        _level(
            "level_native",
            "by itself",
            "Weights that the method had made zero before the last step that reaches the level.",
        ),
        _level("level_convolutions", "convolutions", "Zeros of the convolutions' weights alone."),
        _level(
            "params_removed",
            "parameters",
            "Zeros of all parameters, biases and normalisation included.",
        ),
        _level("rows_zero", "rows", "Filters and neurons without any weight left."),
        _level("columns_zero", "columns", "Shape fibres and inputs that no row uses."),
        _level(
            "neurons_removed",
            "neurons",
            "Filters and neurons below the last layer without any weight left.",
        ),
        _level("dead_inputs", "dead inputs", "Inputs of the first layer that nothing reads."),
        MetricInfo(
            "mse",
            "mse",
            "Mean squared error over the test inputs, in the target's own units.",
            bounds=(0.0, math.inf),
            better="lower",
        ),
    )

    def plugins_of(self, cell: Cell) -> Iterator[tuple[str, str, str | None]]:
        """The kinds that its images are drawn from."""
        return kinds_in(cell)

    def run(self, cell: Cell, context: Context) -> Outcome:
        """See `robench.stages.train.train`."""
        from robench.stages.train import train

        return train(cell, context)


def resolve_drawn(distortion: Distortion) -> dict[str, JsonValue]:
    """Options of a training: version and levels of the kinds that its images are drawn from."""
    if distortion.is_adversarial:
        from robench.training.adversarial_noise import ADVERSARIAL_NOISE_VERSION

        return {"version": ADVERSARIAL_NOISE_VERSION}
    found = resolve_kinds(dict.fromkeys(distortion.degradations, distortion.levels))
    return {"kinds": as_json({name: kind.model_dump() for name, kind in found.items()})}
