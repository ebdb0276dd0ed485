"""Show a trained network degraded images, kind by kind and level by level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.data.base import to_float
from robench.degradations import DEGRADATIONS_REGISTRY
from robench.degradations import degrade as degraded
from robench.degradations.levels import PUBLISHED
from robench.errors import NotApplicableError
from robench.spec import Cell, Metric, ResolvedDegradeOptions, json_number
from robench.stages.base import Context, Outcome
from robench.stages.graded import GradedAnswers, over_levels, parts_of
from robench.stages.network import trained_network

if TYPE_CHECKING:
    from robench.data.base import Data

__all__ = ["degrade"]


def degrade(cell: Cell, context: Context) -> Outcome:
    """Accuracy and answers at each level of each kind, on the same images for everyone.

    Raises:
        NotApplicableError: these images can bear none of the kinds.
    """
    options = ResolvedDegradeOptions.model_validate(cell.options)
    test = context.data.test.first(options.samples)
    seed = cell.seed_for("evaluate")
    answers = GradedAnswers(trained_network(cell, context), context.data.outputs)
    metrics: list[Metric] = []
    left_out = _left_out(options, context.data)
    for kind, declared in options.kinds.items():
        if kind in left_out:
            continue
        accuracies = []
        for level in declared.levels:
            shown = (
                degraded(
                    to_float(test.images[part].to(context.device)),
                    kind,
                    level,
                    seed=seed,
                    index=test.index[part],
                )
                for part in parts_of(test.images)
            )
            condition = {"kind": kind, "test_level": json_number(level)}
            found = tuple(answers.show(shown, test.labels, f"{kind} {level:g}", **condition))
            accuracies.append(found[0].value or 0.0)
            metrics += found
        metrics += over_levels(kind, declared.levels, accuracies, len(test))
    return Outcome(
        metrics=tuple(metrics),
        details={
            "conditions": answers.conditions,
            # How a level is to be read at this image size, which its number does not say.
            "conventions": {
                kind: DEGRADATIONS_REGISTRY.get(kind).convention()
                for kind in options.kinds
                if kind not in left_out
            },
            "left_out": left_out,
        },
        arrays={
            "index": test.index.numpy(),
            "label": test.labels.numpy(),
            **answers.arrays(),
        },
    )


def _left_out(options: ResolvedDegradeOptions, data: Data) -> dict[str, str]:
    """The kinds that these images cannot bear, asked for or robench's own, and why not."""
    channels, height, width = data.input_shape
    shown = f"{'grey' if channels == 1 else 'colour'} images of {height} x {width} pixels"
    found = {
        kind: f"it does not take {shown}"
        for kind in (*PUBLISHED, *options.kinds)
        if not DEGRADATIONS_REGISTRY.get(kind).takes(channels, height, width)
    }
    if options.kinds and options.kinds.keys() <= found.keys():
        raise NotApplicableError(f"{shown} can bear none of {', '.join(options.kinds)}")
    return found
