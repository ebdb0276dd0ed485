"""A recipe: how a network is trained, and on what distortion of its images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from robench.spec.base import Frozen
from robench.spec.distortion import Distortion

__all__ = ["Recipe"]


class Recipe(Frozen):
    """How a network is trained. The budget, in optimiser steps, is the same for all methods.

    Methods that start from a trained network share one dense network of `dense_steps` steps, and
    then have `sparse_steps` of their own. Methods that train from scratch have the sum. The dense
    control goes on from the same dense network for `sparse_steps`, so that nobody trains longer.
    """

    dense_steps: Annotated[int, Field(ge=0)] = 600
    sparse_steps: Annotated[int, Field(ge=1)] = 600
    batch_size: Annotated[int, Field(ge=1)] = 64
    optimiser: Literal["sgd", "adam", "rmsprop"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    sparse_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Of the steps that follow the shared dense network; `None` means `learning_rate`."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of SGD and RMSprop; the first-moment decay of Adam."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    """Shares of the budget after which ``step`` divides the learning rate by ten."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate rises linearly from zero."""
    distortion: Distortion | None = None

    @property
    def total_steps(self) -> int:
        """Steps of a network that is trained from scratch."""
        return self.dense_steps + self.sparse_steps

    @model_validator(mode="after")
    def _warmup_fits(self) -> Recipe:
        if self.warmup_steps >= self.total_steps:
            raise ValueError(
                f"warmup_steps ({self.warmup_steps}) must be below the budget of "
                f"{self.total_steps} steps"
            )
        return self
