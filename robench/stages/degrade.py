"""Show a trained network degraded images, kind by kind and level by level."""

from __future__ import annotations

import torch

from robench.data.base import to_float
from robench.degradations import DEGRADATIONS_REGISTRY
from robench.degradations import degrade as degraded
from robench.spec import Cell, Metric, ResolvedDegradeOptions, json_number
from robench.stages.base import Context, Outcome
from robench.stages.network import trained_network
from robench.training.evaluate import predict

__all__ = ["degrade"]


def degrade(cell: Cell, context: Context) -> Outcome:
    """Accuracy at each level of each kind, on the same images with the same noise for everyone."""
    options = ResolvedDegradeOptions.model_validate(cell.options)
    network = trained_network(cell, context)
    test = context.data.test.first(options.samples)
    images = to_float(test.images.to(context.device))
    seed = cell.seed_for("evaluate")
    metrics: list[Metric] = []
    answers: list[torch.Tensor] = []
    conditions: list[str] = []
    for kind, declared in options.kinds.items():
        for level in declared.levels:
            shown = degraded(images, kind, level, seed=seed, index=test.index)
            answer = predict(network, shown).argmax(1).cpu()
            correct = int((answer == test.labels).sum())
            condition = {"kind": kind, "test_level": json_number(level)}
            metrics.append(Metric.share("accuracy", correct, len(test), **condition))
            answers.append(answer.to(torch.int16))
            conditions.append(f"{kind} {level:g}")
    return Outcome(
        metrics=tuple(metrics),
        details={
            "conditions": conditions,
            # How a level is to be read at this image size, which its number does not say.
            "conventions": {
                kind: DEGRADATIONS_REGISTRY.get(kind).convention() for kind in options.kinds
            },
        },
        arrays={
            "index": test.index.numpy(),
            "label": test.labels.numpy(),
            "answers": torch.stack(answers).numpy(),
        },
    )
