"""Show a trained network degraded images, kind by kind and level by level."""

from __future__ import annotations

from robench.data.base import to_float
from robench.degradations import DEGRADATIONS_REGISTRY
from robench.degradations import degrade as degraded
from robench.spec import Cell, Metric, ResolvedDegradeOptions, json_number
from robench.stages.base import Context, Outcome
from robench.stages.graded import GradedAnswers, over_levels
from robench.stages.network import trained_network

__all__ = ["degrade"]


def degrade(cell: Cell, context: Context) -> Outcome:
    """Accuracy and answers at each level of each kind, on the same images for everyone."""
    options = ResolvedDegradeOptions.model_validate(cell.options)
    test = context.data.test.first(options.samples)
    images = to_float(test.images.to(context.device))
    seed = cell.seed_for("evaluate")
    answers = GradedAnswers(trained_network(cell, context), context.data.outputs)
    metrics: list[Metric] = []
    for kind, declared in options.kinds.items():
        accuracies = []
        for level in declared.levels:
            shown = degraded(images, kind, level, seed=seed, index=test.index)
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
                kind: DEGRADATIONS_REGISTRY.get(kind).convention() for kind in options.kinds
            },
        },
        arrays={
            "index": test.index.numpy(),
            "label": test.labels.numpy(),
            **answers.arrays(),
        },
    )
