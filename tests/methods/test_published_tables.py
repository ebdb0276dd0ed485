"""The operations that Wen et al. 2016 (arXiv 1608.03665) give, from the units that they keep.

Their networks are zeroed by hand as the tables say; what that strands, and what the rest costs, is
then worked out by robench.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from robench.measure.counter import count_operations
from robench.measure.sparsity import sparsity_report
from robench.methods.tools.removal import ChainGroups
from robench.models.base import prunable
from robench.models.chain import chain


def lenet() -> nn.Sequential:
    """20 and 50 filters of 5x5, as in Caffe."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    ).eval()  # fmt: skip


def removed(model: nn.Module, *kinds: str) -> None:
    """Take, in place, what is zero already and what that strands."""
    weights = prunable(model)
    groups = ChainGroups(chain(model), weights, kinds)
    level = groups.zeros / sum(weight.numel() for weight in weights.values())
    masks, _ = groups.snap(level)
    masks.cut(weights)


def shares(model: nn.Module, *shape: int) -> list[float]:
    """Of each layer, multiply-accumulates that are not with zeros over all of them."""
    operations = count_operations(model, torch.zeros(1, *shape))
    return [layer.macs_nonzero / layer.macs for layer in operations.layers]


@pytest.mark.parametrize(
    ("units", "published"),
    [
        ((469, 294, 166, 10), (0.3518, 0.3254, 0.5533)),
        ((434, 174, 78, 10), (0.1926, 0.0905, 0.2600)),
    ],
)
def test_neurons_of_the_mlp(units, published):
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise((784, 500, 300, 10))))
    with torch.no_grad():
        model[0].weight[:, units[0] :] = 0
        for layer, kept in zip(model[:2], units[1:], strict=False):
            layer.weight[kept:] = 0
    removed(model, "row", "channel")
    assert shares(model.eval(), 784) == pytest.approx(published, abs=5e-5)
    report = sparsity_report(model)
    assert report.dead_inputs == 784 - units[0]
    assert [layer.rows - layer.zero_rows for layer in report.layers] == list(units[1:])
    assert [layer.inputs - layer.zero_inputs for layer in report.layers] == list(units[:-1])


@pytest.mark.parametrize(
    ("filters", "channels", "published"),
    [((5, 19), (1, 4), (0.25, 0.076)), ((3, 12), (1, 3), (0.15, 0.036))],
)
def test_filters_and_channels_of_lenet(filters, channels, published):
    model = lenet()
    with torch.no_grad():
        for layer, rows, columns in zip((model[0], model[2]), filters, channels, strict=True):
            layer.weight[rows:] = 0
            layer.weight[:, columns:] = 0
    assert shares(model, 1, 28, 28)[:2] == pytest.approx(published)
    report = sparsity_report(model)
    assert [layer.rows - layer.zero_rows for layer in report.layers[:2]] == list(filters)
    assert [layer.inputs - layer.zero_inputs for layer in report.layers[:2]] == list(channels)


@pytest.mark.parametrize(
    ("shapes", "published"), [((21, 41), (0.084, 0.082)), ((7, 14), (0.014, 0.028))]
)
def test_shapes_of_lenet(shapes, published):
    """With all shapes of a channel goes the filter that wrote it; the paper counts it as gone."""
    model = lenet()
    with torch.no_grad():
        for layer, kept in zip((model[0], model[2]), shapes, strict=True):
            layer.weight.flatten(1)[:, kept:] = 0
    removed(model, "row", "shape")
    assert shares(model, 1, 28, 28)[:2] == pytest.approx(published)
    report = sparsity_report(model)
    assert [layer.columns - layer.zero_columns for layer in report.layers[:2]] == list(shapes)
