"""Gradual magnitude pruning: the schedule, and that what is gone stays gone."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robench.errors import ParameterError
from robench.methods.base import make
from robench.methods.gradual_magnitude import GradualMagnitude, cubic_level
from robench.methods.masks import achieved_level, magnitude_masks
from robench.models.base import prunable


class Watched(GradualMagnitude):
    """Keeps the level and the masks after each step."""

    def __init__(self, params=None):
        super().__init__(params)
        self.levels = {}
        self.masks = []

    def after_step(self, state):
        super().after_step(state)
        state.masks.apply(state.prunable)
        self.levels[state.step] = achieved_level(state.prunable)
        self.masks.append(dict(state.masks))


def watched(**params):
    return Watched(Watched.Params(**params))


def test_the_schedule_of_a_worked_example():
    # From 0 to 0.8: after half of the way 0.8 - 0.8 / 8, after a quarter 0.8 - 0.8 * 27 / 64.
    assert cubic_level(0.0, 0.8, 0.0) == 0.0
    assert cubic_level(0.0, 0.8, 0.25) == pytest.approx(0.4625)
    assert cubic_level(0.0, 0.8, 0.5) == pytest.approx(0.7)
    assert cubic_level(0.0, 0.8, 1.0) == 0.8
    assert cubic_level(0.5, 0.9, 0.5) == pytest.approx(0.85)


@settings(max_examples=50, deadline=None)
@given(initial=st.floats(0, 0.9), more=st.floats(0, 0.09), share=st.floats(0, 1))
def test_the_schedule_rises_from_one_level_to_the_other(initial, more, share):
    final = initial + more
    here, later = (cubic_level(initial, final, at) for at in (share, (1 + share) / 2))
    assert initial - 1e-12 <= here <= later + 1e-12
    assert later <= final + 1e-12


def test_a_run_follows_the_schedule(network, run):
    """Of 40 steps pruning takes 4 to 28, every 8th: at 4, 12, 20 and 28."""
    method = watched(begin=0.1, end=0.7, interval_steps=8)
    run(network("mlp", widths=[16]), method, level=0.9, steps=40)
    for step, level in method.levels.items():
        share = min(max((step - 4) // 8 * 8 / 24, 0), 1)
        assert level == pytest.approx(0.9 - 0.9 * (1 - share) ** 3, abs=1e-3), step
    assert method.levels[11] == 0
    assert 0.6 < method.levels[12] == method.levels[19] < method.levels[20]
    assert method.levels[28] == method.levels[40]


def test_the_end_is_pruned_at_even_where_no_interval_ends_there(network, run):
    method = watched(begin=0.0, end=0.5, interval_steps=7)
    run(network("mlp", widths=[16]), method, level=0.8, steps=40)
    assert method.levels[14] == method.levels[19] < method.levels[20]
    assert method.levels[20] == pytest.approx(0.8, abs=1e-3)


def test_what_is_gone_stays_gone(network, run):
    method = watched(interval_steps=2)
    run(network("mlp", widths=[16]), method, level=0.9, steps=40)
    for earlier, later in pairwise(method.masks):
        for name, mask in earlier.items():
            assert not (later[name] & ~mask).any()


def test_at_each_pruning_the_smallest_weights_go(network, run):
    """Pruning once, before the first step, is magnitude pruning of the initial weights."""
    start = network("mlp", widths=[16])
    expected = magnitude_masks(prunable(start), 0.6)
    method = watched(begin=0.0, end=0.9, initial_level=0.6, interval_steps=100)
    run(network("mlp", widths=[16]), method, level=0.6, steps=5)
    for name, mask in expected.items():
        assert torch.equal(method.masks[0][name], mask)


def test_an_initial_level_above_the_one_that_is_asked_for_is_lowered_to_it(network, run):
    method = watched(begin=0.0, initial_level=0.9, interval_steps=1)
    run(network("mlp", widths=[16]), method, level=0.5, steps=10)
    assert {round(level, 3) for level in method.levels.values()} == {0.5}


def test_within_layers_all_have_the_level(network, run):
    result = run(
        network("mlp", widths=[32, 16]), "gradual-magnitude", {"scope": "layer"}, level=0.8
    )
    for mask in result.masks.values():
        assert float((~mask).float().mean()) == pytest.approx(0.8, abs=0.01)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.integers(1, 12),
    interval=st.sampled_from([1, 3, 1000]),
    begin=st.sampled_from([0.0, 0.1, 0.5]),
    end=st.sampled_from([0.51, 0.99]),
    level=st.sampled_from([0.0, 0.3, 0.9, 0.99]),
)
def test_the_level_is_exact_however_short_the_run(network, run, steps, interval, begin, end, level):
    model = network("mlp", widths=[8])
    params = {"begin": begin, "end": end, "interval_steps": interval}
    result = run(model, "gradual-magnitude", params, level=level, steps=steps)
    total = sum(weight.numel() for weight in prunable(model).values())
    assert sum(int((~mask).sum()) for mask in result.masks.values()) == round(level * total)


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"begin": 0.7, "end": 0.5}, "begin"),
        ({"begin": 0.5, "end": 0.5}, "begin"),
        ({"end": 1.0}, "end"),
        ({"interval_steps": 0}, "interval_steps"),
        ({"initial_level": 1.0}, "initial_level"),
        ({"scope": "network"}, "scope"),
    ],
)
def test_parameters_out_of_range_are_refused(params, word):
    with pytest.raises(ParameterError, match=word):
        make("gradual-magnitude", params)
