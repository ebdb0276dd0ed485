"""The learning rate of each step, in closed form."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from robench.spec.recipe import Recipe

__all__ = ["learning_rate", "schedule"]


def schedule(recipe: Recipe, *, peak: float, steps: int) -> Callable[[int], float]:
    """The learning rate as a function of the step, 0 … steps - 1."""
    return partial(learning_rate, recipe, peak=peak, steps=steps)


def learning_rate(recipe: Recipe, step: int, *, peak: float, steps: int) -> float:
    """The learning rate of one step.

    It rises linearly over the warm-up, whose last step is the first at the peak. Then ``cosine``
    falls to zero along half a cosine over the rest of the budget (Loshchilov and Hutter 2017, arXiv
    1608.03983), ``step`` divides by ten at each milestone, a share of the whole budget, and
    ``constant`` stays. A budget shorter than the warm-up ends on the rise.

    Args:
        recipe: its `schedule`, `milestones` and `warmup_steps` count.
        step: 0 … steps - 1.
        peak: the highest learning rate.
        steps: the budget.
    """
    warmup = recipe.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    if recipe.schedule == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
    if recipe.schedule == "step":
        passed = sum(step >= milestone * steps for milestone in recipe.milestones)
        return peak / 10.0**passed
    return peak
