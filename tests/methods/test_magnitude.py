"""Magnitude pruning: the smallest weights of the start go, and no others."""

from __future__ import annotations

import copy

import pytest
import torch

from robench.models.base import prunable


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_smallest_weights_of_the_start_go(network, run, scope: str) -> None:
    start = network("mlp", widths=[8])
    weights = {name: w.detach().abs() for name, w in prunable(copy.deepcopy(start)).items()}
    result = run(start, "magnitude", {"scope": scope}, level=0.6, steps=5)
    pools = [list(weights)] if scope == "global" else [[name] for name in weights]
    for names in pools:
        kept = torch.cat([weights[name][result.masks[name]] for name in names])
        gone = torch.cat([weights[name][~result.masks[name]] for name in names])
        assert kept.min() >= gone.max()
    assert result.level == pytest.approx(0.6, abs=0.01)
