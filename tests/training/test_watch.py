"""Losses that are kept, runs that diverge, progress that is told."""

from __future__ import annotations

import pytest
import torch

from robench.errors import TrainingError
from robench.methods.base import Method


class Poisons(Method):
    """Makes a weight not a number in one step."""

    name = "poisons"

    def __init__(self, at: int, *, then_raises: bool = False):
        super().__init__()
        self.at, self.then_raises = at, then_raises

    def after_step(self, state):
        if state.step == self.at:
            with torch.no_grad():
                next(iter(state.prunable.values()))[0, 0] = torch.nan
        if self.then_raises and state.step == self.at + 1:
            raise ValueError("these weights are strange")


def test_a_loss_that_is_not_finite_stops_the_run(network, run):
    with pytest.raises(TrainingError) as caught:
        run(network(), Poisons(at=7), recipe={"schedule": "constant"})
    text = str(caught.value)
    assert "diverged: the loss is nan at step 7 of 20, at a learning rate of 0.05" in text
    assert "lower `learning_rate`" in text


def test_too_large_a_learning_rate_is_told(network, run):
    with pytest.raises(TrainingError, match="diverged"):
        run(network("mlp", widths=[32, 32, 32]), learning_rate=1e6, recipe={"momentum": 0.99})


def test_the_last_step_is_checked_too(network, run):
    with pytest.raises(
        TrainingError, match=r"diverged: 'body\.fc1\.weight' is not finite after 20"
    ):
        run(network(), Poisons(at=20))


def test_in_long_runs_the_loss_is_looked_at_now_and_then(network, run):
    model = network("mlp", widths=[])
    with pytest.raises(TrainingError, match="at step 12 of 350"):
        run(model, Poisons(at=9), steps=350)
    result = run(network("mlp", widths=[]), steps=350)
    assert len(result.losses) == 350 // 4 + 1 + 1
    assert result.losses[-1] < result.losses[0]


def test_a_hook_that_chokes_on_a_diverged_run_is_not_blamed(network, run):
    with pytest.raises(TrainingError, match="diverged") as caught:
        run(network("mlp", widths=[]), Poisons(at=9, then_raises=True), steps=350)
    assert isinstance(caught.value.__context__, TrainingError)
    assert "strange" in str(caught.value.__context__)


def test_progress_is_told_now_and_then_and_at_the_end(network, run, monkeypatch):
    import robench.training.watch as watch

    clock = iter(range(1000))
    monkeypatch.setattr(watch.time, "perf_counter", lambda: next(clock) / 10)  # 0.1 s a step
    told = []
    result = run(network(), steps=20, progress=lambda *news: told.append(news))
    assert [step for step, _, _ in told] == [1, 4, 7, 10, 13, 16, 19, 20]
    assert {steps for _, steps, _ in told} == {20}
    assert told[-1][2] == result.losses[-1]
