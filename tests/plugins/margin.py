"""A stage of one's own in one file: how far apart the two largest logits are."""

from __future__ import annotations

from pydantic import Field

from robench.spec import Cell, Metric, StageOptions
from robench.spec.base import Frozen
from robench.stages import MetricInfo, Stage
from robench.stages.base import Context, Outcome
from robench.stages.network import trained_network
from robench.training.evaluate import predict


class MarginOptions(StageOptions):
    """How many images are shown."""

    samples: int = Field(default=30, ge=1)


class MarginDetails(Frozen):
    """What the record says beside the metric."""

    narrowest: float


class Margin(Stage[MarginOptions]):
    """How far apart the two largest logits are."""

    name = "margin"
    Options = MarginOptions
    Details = MarginDetails
    metrics = (
        MetricInfo(
            "margin",
            "margin",
            "Mean gap of the two largest logits of clean test inputs.",
            bounds=(0.0, float("inf")),
            better="higher",
            shown="terminal",
        ),
    )

    def applies_to(self, data):
        """To data with classes."""
        return data.task == "classification" or "it compares classes"

    def run(self, cell: Cell, context: Context) -> Outcome:
        """One forward pass."""
        options = cell.options_as(MarginOptions)
        test = context.data.test.first(options.samples)
        first, second = predict(trained_network(cell, context), test.images).topk(2).values.T
        gaps = first - second
        return Outcome(
            metrics=(Metric(name="margin", value=float(gaps.mean()), n=len(test)),),
            details={"narrowest": float(gaps.min())},
        )
