"""Real digits, a small network for them, and one call that trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from robench.data import Data, load
from robench.methods.base import Method, make
from robench.models import build
from robench.spec import Recipe
from robench.training.loop import TrainResult, train

SEEDS = {"order": 1, "method": 2, "distortion": 3}


@pytest.fixture(scope="session")
def digits() -> Data:
    return load("digits", {"subset": 300})


@pytest.fixture
def network(digits: Data) -> Callable[..., nn.Module]:
    """``network("mlp", widths=[32, 16])``, for the digits, always with the same weights."""

    def make_network(name: str = "mlp", **params: Any) -> nn.Module:
        if name == "mlp":
            params = {"widths": [16], **params}
        return build(
            name,
            input_shape=digits.input_shape,
            classes=10,
            mean=digits.mean,
            std=digits.std,
            params=params,
            seed=0,
        )

    return make_network


@pytest.fixture
def run(digits: Data) -> Callable[..., TrainResult]:
    """``run(model, "magnitude", level=0.5, steps=20)``; a `recipe` of fields may be given."""

    def run_method(
        model: nn.Module, method: str | Method = "dense", *, recipe: Any = None, **options: Any
    ) -> TrainResult:
        return train(
            model,
            make(method) if isinstance(method, str) else method,
            options.pop("data", digits),
            Recipe(**{"batch_size": 32, **(recipe or {})}),
            **{"level": 0.0, "steps": 20, "learning_rate": 0.05, "seeds": SEEDS, **options},
        )

    return run_method
