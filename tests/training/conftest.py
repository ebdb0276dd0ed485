"""A small network, and one call that trains it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from robench.data import Data
from robench.methods.base import Method, make
from robench.spec import Recipe
from robench.training.loop import RunSettings, TrainResult, train

SEEDS = {"order": 1, "method": 2, "distortion": 3}


@pytest.fixture
def network(network: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """``network("mlp", widths=[32, 16])``; without a word a small one."""

    def maker(name: str = "mlp", **params: Any) -> nn.Module:
        return network(name, **({"widths": [16]} if name == "mlp" else {}) | params)

    return maker


@pytest.fixture
def run(digits: Data) -> Callable[..., TrainResult]:
    """``run(model, "magnitude", level=0.5, steps=20)``; a `recipe` of fields may be given."""

    def run_method(
        model: nn.Module, method: str | Method = "dense", *, recipe: Any = None, **options: Any
    ) -> TrainResult:
        data = options.pop("data", digits)
        lent = {
            name: options.pop(name) for name in ("masks", "donor", "progress") if name in options
        }
        settings = RunSettings(
            Recipe(**{"batch_size": 32, **(recipe or {})}),
            **{"level": 0.0, "steps": 20, "learning_rate": 0.05, "seeds": SEEDS, **options},
        )
        made = make(method) if isinstance(method, str) else method
        return train(model, made, data, settings, **lent)

    return run_method
