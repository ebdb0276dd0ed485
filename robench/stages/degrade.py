"""Show a trained network degraded images, kind by kind and level by level."""

from __future__ import annotations

import torch

from robench.data.base import to_float
from robench.degradations import DEGRADATIONS_REGISTRY
from robench.degradations import degrade as degraded
from robench.spec import Cell, Metric
from robench.stages.base import Context, Outcome
from robench.stages.network import trained_network
from robench.training.evaluate import predict

__all__ = ["degrade"]


def degrade(cell: Cell, context: Context) -> Outcome:
    """Accuracy at each level of each kind, on the same images with the same noise for everyone."""
    network = trained_network(cell, context)
    test = context.data.test.first(cell.options.get("samples"))
    images = to_float(test.images.to(context.device))
    seed = cell.seed_for("evaluate")
    metrics: list[Metric] = []
    answers: list[torch.Tensor] = []
    conditions: list[str] = []
    for kind, declared in cell.options["kinds"].items():
        for level in declared["levels"]:
            shown = degraded(images, kind, float(level), seed=seed, index=test.index)
            answer = predict(network, shown).argmax(1).cpu()
            correct = int((answer == test.labels).sum())
            metrics.append(
                Metric.share("accuracy", correct, len(test.labels), kind=kind, test_level=level)
            )
            answers.append(answer.to(torch.int16))
            conditions.append(f"{kind} {level}")
    return Outcome(
        metrics=tuple(metrics),
        details={
            "conditions": conditions,
            # How a level is to be read at this image size, which its number does not say.
            "conventions": {
                kind: DEGRADATIONS_REGISTRY.get(kind).convention() for kind in cell.options["kinds"]
            },
        },
        arrays={
            "index": test.index.numpy(),
            "label": test.labels.numpy(),
            "answers": torch.stack(answers).numpy(),
        },
    )
