"""The small networks of the kit have what methods trip over."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.conformance import datasets
from robench.conformance.networks import NETWORKS, build
from robench.data.base import to_float
from robench.models.base import prunable


@pytest.fixture(scope="module")
def data():
    return datasets.data("images", 160)


@pytest.mark.parametrize("name", NETWORKS)
def test_each_gives_finite_logits_and_follows_the_global_seed(name: str, data) -> None:
    images = to_float(data.train.images[:3])
    logits = []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            logits.append(build(name, data).eval()(images))
    assert logits[0].shape == (3, data.outputs)
    assert logits[0].isfinite().all()
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


def test_the_last_layer_of_partial_is_not_prunable(data) -> None:
    model = build("partial", data)
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    assert [f"{name}.weight" for name in layers[:-1]] == list(prunable(model))


def test_grouped_has_a_grouped_convolution(data) -> None:
    groups = [m.groups for m in build("grouped", data).modules() if isinstance(m, nn.Conv2d)]
    assert groups == [1, 4]
