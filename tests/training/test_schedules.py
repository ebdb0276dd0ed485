"""Learning rates against their closed forms and against torch's schedulers."""

from __future__ import annotations

import itertools
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.spec import Recipe
from robench.training.schedules import learning_rate, schedule

few = settings(max_examples=50, deadline=None)
kinds = st.sampled_from(["constant", "cosine", "step"])


def all_rates(recipe: Recipe, steps: int, peak: float = 0.1) -> list[float]:
    return list(map(schedule(recipe, peak=peak, steps=steps), range(steps)))


def torch_rates(scheduler_of, steps: int, peak: float = 0.1) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler = scheduler_of(optimiser)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimiser takes no steps here, and torch minds
        for _ in range(steps):
            rates.append(optimiser.param_groups[0]["lr"])
            scheduler.step()
    return rates


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_cosine_is_torchs(steps):
    expected = torch_rates(
        lambda optimiser: torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps), steps
    )
    assert all_rates(Recipe(schedule="cosine"), steps) == pytest.approx(expected)


def test_step_is_torchs():
    expected = torch_rates(
        lambda optimiser: torch.optim.lr_scheduler.MultiStepLR(optimiser, [50, 75], gamma=0.1), 100
    )
    recipe = Recipe(schedule="step", milestones=(0.5, 0.75))
    assert all_rates(recipe, 100) == pytest.approx(expected)


def test_warm_up_is_a_line_from_zero():
    recipe = Recipe(schedule="constant", warmup_steps=5)
    assert all_rates(recipe, 8, peak=1.0) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1])


def test_cosine_begins_when_the_warm_up_is_over():
    recipe = Recipe(schedule="cosine", warmup_steps=10)
    plain = Recipe(schedule="cosine")
    assert all_rates(recipe, 50)[10:] == pytest.approx(all_rates(plain, 40))


@few
@given(kind=kinds, steps=st.integers(1, 300), warmup=st.integers(0, 100))
def test_rates_lie_between_zero_and_the_peak(kind, steps, warmup):
    recipe = Recipe(schedule=kind, warmup_steps=warmup)
    rates = all_rates(recipe, steps, peak=0.3)
    assert all(0 < rate <= 0.3 for rate in rates)
    risen = rates[warmup:]
    assert all(later <= earlier for earlier, later in itertools.pairwise(risen))
    assert learning_rate(recipe, 0, peak=0.3, steps=steps) == rates[0]
