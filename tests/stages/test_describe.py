"""What the record of a network says: accuracy, counts of zeros, answers and checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from robench.data import load
from robench.models.base import prunable
from robench.spec import Cell, PluginRef
from robench.stages.base import Context
from robench.stages.describe import describe, level_metrics
from robench.stages.network import fresh_network


def test_figures_are_those_of_the_network(make_cell: Callable[..., Cell]) -> None:
    data = load("digits")
    context = Context(load=lambda: data, device=torch.device("cpu"))
    cell = make_cell(model=PluginRef(name="mlp", version=1, params={"widths": [8]}))
    network = fresh_network(cell, context).eval()
    weights = prunable(network)
    with torch.no_grad():
        for weight in weights.values():
            weight[:, ::2] = 0
    masks = {name: weight.detach() != 0 for name, weight in weights.items()}
    outcome = describe(cell, context, network, masks, details={"method": {"a": 1}})
    found = {metric.name: metric for metric in outcome.metrics}
    zeros = sum(int((w == 0).sum()) for w in weights.values())
    assert found["level_achieved"].value == zeros / sum(w.numel() for w in weights.values())
    assert found["dead_inputs"].value == pytest.approx(0.5)
    right = outcome.arrays["logits"].argmax(1) == data.test.labels.numpy()
    assert found["accuracy"].value == pytest.approx(right.mean())
    assert found["params_nonzero"].value == sum(int((p != 0).sum()) for p in network.parameters())
    assert outcome.details["method"] == {"a": 1}
    assert outcome.checkpoint is not None


def test_levels_are_those_asked_for_and_come_to(make_cell: Callable[..., Cell]) -> None:
    metrics = level_metrics(make_cell(level=0.9), achieved=0.8, is_reached=False)
    assert [(m.name, m.value) for m in metrics] == [
        ("level_target", 0.9),
        ("level_achieved", 0.8),
        ("reached", 0.0),
    ]
