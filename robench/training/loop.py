"""The training loop: one network, one method, one budget.

The loop owns the data, the optimiser, the schedule, the clock, the re-application of masks and the
last count of zeros. What it asks of a method is in `robench.methods.base`.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from robench.errors import InputError, NotApplicableError, TrainingError
from robench.methods.base import TrainState
from robench.methods.masks import Masks, count_zeros, tolerance, zeros_at
from robench.models.base import prunable
from robench.spec.identity import seed_for
from robench.training.batches import Batches
from robench.training.distortion import TrainingDistortion
from robench.training.hooks import call_hook, overrides, penalty_of
from robench.training.schedules import schedule
from robench.training.watch import Watch, check_finite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from robench.data.base import Data
    from robench.methods.base import Method
    from robench.spec.recipe import Recipe
    from robench.training.distortion import Degrade
    from robench.training.watch import Progress

__all__ = ["TrainResult", "train"]


@dataclass(frozen=True)
class TrainResult:
    """What a run of the loop came to.

    Attributes:
        masks: of every prunable weight, true where it is not zero, on the device of the run.
        level: share of prunable weights that are zero.
        steps: optimiser steps taken.
        samples: images shown, counting each time.
        epochs: full passes over the training data.
        losses: training loss at up to a hundred steps at even distances, the last one included.
        loss_final: the last of them.
        train_s: seconds that all of it took.
    """

    masks: Masks
    level: float
    steps: int
    samples: int
    epochs: int
    losses: list[float]
    loss_final: float
    train_s: float


def train(
    model: nn.Module,
    method: Method,
    data: Data,
    recipe: Recipe,
    *,
    level: float,
    steps: int,
    learning_rate: float,
    seeds: Mapping[str, int],
    device: torch.device | str = "cpu",
    masks: Masks | None = None,
    progress: Progress | None = None,
    degrade: Degrade | None = None,
) -> TrainResult:
    """Train a network in place with a method, and check that the method did what it should.

    torch's global generators, which dropout draws from, are seeded for the run and left as they
    were found. The network ends in evaluation mode, on `device`, masked weights zero.

    Args:
        model: takes inputs in [0, 1] and returns logits.
        method: made for this run by `robench.methods.base.make`.
        data: only its training split is used, and only that is shown to the method.
        recipe: optimiser, batch size, schedule and training distortion; not its budgets.
        level: requested share of prunable weights that are zero, in [0, 1).
        steps: optimiser steps, at least 1.
        learning_rate: the peak of the schedule.
        seeds: by purpose: ``order`` of the batches, ``method``, and ``distortion`` if there is one.
        device: where to train.
        masks: in force from the start.
        progress: called with (step, steps, loss) a few times a second at most.
        degrade: replaces `robench.degrade` in the training distortion.

    Raises:
        InputError: steps, level or seeds out of range.
        NotApplicableError: the method has nothing to do on this network or data.
        TrainingError: the loss diverged, a hook raised, the method missed the level, or it left
            the network with other tensors than it had.
    """
    clock = time.perf_counter()
    _check_arguments(recipe, level, steps, seeds)
    device = torch.device(device)
    model.to(device).train()
    _check_applicable(method, model, data)
    noise = recipe.distortion and TrainingDistortion(recipe.distortion, seeds["distortion"], degrade)
    batches = Batches(data.train, recipe.batch_size, seeds["order"], device, noise or None)
    state = TrainState(
        model=model,
        prunable=prunable(model),
        level=level,
        budget=steps,
        optimiser=_optimiser(model, recipe, learning_rate),
        generator=torch.Generator().manual_seed(seeds["method"]),
        schedule=schedule(recipe, peak=learning_rate, steps=steps),
        batches=lambda: batches.probe(state.step),
        masks=Masks(masks),
    )
    shapes = _shapes(model)
    with _seeded(seed_for(seeds["order"], "global"), device):
        losses = _run(method, state, batches, progress)
        _call(method, "finish", state)
    if _shapes(model) != shapes:
        raise _changed_network(method, shapes, _shapes(model))
    zeros, total = _check_level(method, state)
    model.eval()
    return TrainResult(
        masks=Masks({name: weight.detach() != 0 for name, weight in prunable(model).items()}),
        level=zeros / total,
        steps=state.step,
        samples=state.step * batches.size,
        epochs=state.epoch,
        losses=losses,
        loss_final=losses[-1],
        train_s=time.perf_counter() - clock,
    )


def _run(
    method: Method, state: TrainState, batches: Batches, progress: Progress | None
) -> list[float]:
    """All steps and their hooks but the last; returns the losses to keep."""
    watch = Watch(state, progress)
    _call(method, "prepare", state)
    while state.step < state.budget:
        for group in state.optimiser.param_groups:
            group["lr"] = state.schedule(state.step)
        images, labels = batches.at(state.step)
        loss = F.cross_entropy(state.model(images), labels)
        with watch.over(loss):
            term = penalty_of(method, state)
            state.optimiser.zero_grad()
            (loss if term is None else loss + term).backward()
            call_hook(method, "after_backward", state)
            state.optimiser.step()
            state.masks.apply(state.prunable)
            state.step += 1
            _call(method, "after_step", state)
            if state.step % batches.in_epoch == 0:
                state.epoch += 1
                _call(method, "after_epoch", state)
    check_finite(state)
    return watch.losses
