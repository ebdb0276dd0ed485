"""One call that trains with a method."""

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
def run(digits: Data) -> Callable[..., TrainResult]:
    """``run(model, "ssl", {...}, level=0.5, steps=20)``; other words go to the recipe."""

    def run_method(
        model: nn.Module,
        method: str | Method,
        params: dict[str, object] | None = None,
        *,
        level: float,
        steps: int = 20,
        learning_rate: float = 0.05,
        **recipe: Any,
    ) -> TrainResult:
        chosen = method if isinstance(method, Method) else make(method, params)
        return train(
            model,
            chosen,
            digits,
            RunSettings(
                Recipe(**{"batch_size": 32, **recipe}),
                level=level,
                steps=steps,
                learning_rate=learning_rate,
                seeds=SEEDS,
            ),
        )

    return run_method
