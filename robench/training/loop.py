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

from robench.data.objective import objective
from robench.errors import InputError, LevelNotReachedError, NotApplicableError, TrainingError
from robench.methods.base import TrainState
from robench.methods.masks import Masks, count_zeros, tolerance, zeros_at
from robench.models.base import prunable
from robench.models.layout import quick_layout
from robench.spec.identity import seed_for
from robench.training.adversarial_noise import AdversarialNoise
from robench.training.batches import Batches
from robench.training.distortion import DrawnDegradations
from robench.training.hooks import call_hook, check_supports, overrides, penalty_of
from robench.training.optimiser import optimiser
from robench.training.schedules import schedule
from robench.training.watch import Watch, check_loss, check_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import JsonValue
    from torch import Tensor, nn

    from robench.data.base import Data
    from robench.methods.base import Method
    from robench.spec.recipe import Recipe
    from robench.training.distortion import Degrade, TrainingDistortion
    from robench.training.noise_level import NoiseTally
    from robench.training.watch import Progress

__all__ = ["RunSettings", "TrainResult", "finish", "train"]


@dataclass(frozen=True)
class RunSettings:
    """How long a run is, how it learns, and what makes it repeatable.

    Attributes:
        recipe: optimiser, batch size, schedule and training distortion; not its budgets.
        level: requested share of prunable weights that are zero, in [0, 1).
        steps: optimiser steps, at least 1.
        learning_rate: the peak of the schedule.
        seeds: by purpose: ``order`` of the batches, ``method``, and ``distortion`` if there is one.
        device: where to train.
        degrade: replaces `robench.degrade` in the training distortion.
    """

    recipe: Recipe
    level: float
    steps: int
    learning_rate: float
    seeds: Mapping[str, int]
    device: torch.device | str = "cpu"
    degrade: Degrade | None = None

    def check(self) -> None:
        """Refuse settings that no run can have.

        Raises:
            InputError: steps, level or seeds out of range.
        """
        if not 0 <= self.level < 1:
            raise InputError(f"the level {self.level!r} is out of range", allowed="[0, 1)")
        if self.steps < 1:
            raise InputError(f"a run of {self.steps!r} steps trains nothing", allowed="1 or more")
        needed = {"order", "method"} | ({"distortion"} if self.recipe.distortion else set())
        if missing := sorted(needed - self.seeds.keys()):
            raise InputError(f"the seed of {missing[0]!r} is missing", allowed=sorted(needed))


@dataclass(frozen=True)
class TrainResult:
    """What a run of the loop came to.

    Attributes:
        masks: of every prunable weight, true where it is not zero, on the device of the run.
        level: share of prunable weights that are zero.
        native: the level that the method came to before `finish` brought it to the one asked for.
        steps: optimiser steps taken.
        samples: images shown, counting each time.
        epochs: full passes over the training data.
        losses: training loss at up to a hundred steps at even distances, the last one included.
        notes: what the method noted down.
        noise: counts of the noisy images, where the run had adversarial noise.
        train_s: seconds that all of it took.
    """

    masks: Masks
    level: float
    native: float
    steps: int
    samples: int
    epochs: int
    losses: list[float]
    notes: Mapping[str, JsonValue]
    train_s: float
    noise: NoiseTally | None = None


def train(
    model: nn.Module,
    method: Method,
    data: Data,
    settings: RunSettings,
    *,
    masks: Mapping[str, Tensor] | None = None,
    donor: Mapping[str, Tensor] | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a network in place with a method, and check that the method did what it should.

    torch's global generators, which dropout draws from, are seeded for the run and left as they
    were found. The network ends in evaluation mode, on `device`, masked weights zero.

    Args:
        model: takes inputs in [0, 1] and returns logits.
        method: made for this run by `robench.methods.base.make`.
        data: only its training split is used, and only that is shown to the method.
        settings: of the run.
        masks: of some of the prunable weights, in force from the start.
        donor: the masks that another method ended with, for a method that asks for them.
        progress: called with (step, steps, loss) a few times a second at most.

    Raises:
        InputError: steps, level or seeds out of range.
        NotApplicableError: the method has nothing to do on this network or data.
        LevelNotReachedError: the method cannot bring the network to this level.
        TrainingError: the loss diverged, a hook raised, the method missed the level, or it left
            the network with other tensors than it had.
    """
    clock = time.perf_counter()
    settings.check()
    model.to(settings.device).train()
    check_supports(method, model, _training_part(data))
    batches = _batches(model, data, settings)
    state = _state(model, data, settings, batches)
    state.masks = _on(settings.device, masks)
    if donor is not None and method.mask_source() is not None:
        state.donor = _on(settings.device, donor)
    shapes, zeros = _shapes(model), count_zeros(state.prunable)
    wanted = _wanted_zeros(state)  # now, since a method may change what it was lent
    with _seeded(settings):
        losses = _run(method, state, batches, progress)
        native = _finish(method, state, shapes)
    achieved = _checked_level(
        method, state, settings.level, wanted, zeros_before=zeros, native_zeros=native
    )
    return _result(state, settings.steps, batches, achieved, native, losses, clock)


def finish(model: nn.Module, method: Method, data: Data, settings: RunSettings) -> TrainResult:
    """Bring a network that a method with `shares_training` has trained to a level, in place.

    Nothing is trained: it is the last hook alone. Arguments, errors and result are those of
    `train`, where `RunSettings.steps` are those that the network was trained for.
    """
    clock = time.perf_counter()
    settings.check()
    model.to(settings.device).train()
    batches = _batches(model, data, settings)
    state = _state(model, data, settings, batches)
    state.step, state.epoch = settings.steps, settings.steps // batches.in_epoch
    shapes, wanted = _shapes(model), _wanted_zeros(state)
    with _seeded(settings):
        native = _finish(method, state, shapes)
    achieved = _checked_level(
        method, state, settings.level, wanted, zeros_before=0, native_zeros=native
    )
    return _result(state, settings.steps, batches, achieved, native, [], clock)


def _state(model: nn.Module, data: Data, settings: RunSettings, batches: Batches) -> TrainState:
    """What the method will see, before anything has happened."""
    weights = prunable(model)
    if not weights:
        raise NotApplicableError(
            f"{type(model).__name__} has no prunable weight: nothing can be made sparse",
            allowed="networks with an nn.Conv2d or nn.Linear, or a `prunable()` of their own",
        )
    state = TrainState(
        model=model,
        prunable=weights,
        level=settings.level,
        budget=settings.steps,
        optimiser=optimiser(model, settings.recipe, settings.learning_rate),
        generator=torch.Generator().manual_seed(settings.seeds["method"]),
        schedule=schedule(settings.recipe, peak=settings.learning_rate, steps=settings.steps),
        batches=lambda: batches.probe(state.step),
        task=data.task,
    )
    return state


def _on(device: torch.device | str, masks: Mapping[str, Tensor] | None) -> Masks:
    return Masks({name: mask.to(device) for name, mask in (masks or {}).items()})


def _result(
    state: TrainState,
    steps: int,
    batches: Batches,
    achieved: float,
    native_zeros: int,
    losses: list[float],
    clock: float,
) -> TrainResult:
    weights, distortion = prunable(state.model), batches.distortion
    native = native_zeros / sum(weight.numel() for weight in weights.values())
    return TrainResult(
        masks=Masks({name: weight.detach() != 0 for name, weight in weights.items()}),
        level=achieved,
        native=native if state.native is None else state.native,
        steps=steps,
        samples=steps * batches.size,
        epochs=steps // batches.in_epoch,
        losses=losses,
        notes=state.notes,
        train_s=time.perf_counter() - clock,
        noise=distortion.tally if isinstance(distortion, AdversarialNoise) else None,
    )


def _run(
    method: Method, state: TrainState, batches: Batches, progress: Progress | None
) -> list[float]:
    """All hooks and steps, from `prepare` up to `finish`; returns the losses that are kept."""
    steps = state.budget  # the loop's, whatever a method makes of it
    watch = Watch(steps, progress)
    _change(method, "prepare", state)
    state.masks.apply(state.prunable)
    layout = quick_layout(state.model)
    for step in range(steps):
        for group in state.optimiser.param_groups:
            group["lr"] = state.schedule(step)
        images, labels = batches.at(step)
        loss = objective(state.model(layout(images)), labels)
        watch.see(state, loss)
        try:
            _step(method, state, loss)
            state.step = step + 1
            _change(method, "after_step", state)
            if state.step % batches.in_epoch == 0:
                state.epoch = state.step // batches.in_epoch
                _change(method, "after_epoch", state)
        except TrainingError:
            check_loss(state, loss)  # a hook that chokes on a loss that diverged is not to blame
            raise
    check_weights(state)
    return watch.losses


def _finish(method: Method, state: TrainState, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """The last hook, after which the network is ready to be used; returns the zeros before it."""
    native = count_zeros(state.prunable)
    _change(method, "finish", state)
    _check_unchanged(method, shapes, _shapes(state.model))
    state.masks.cut(prunable(state.model))
    state.model.eval()
    return native


def _step(method: Method, state: TrainState, loss: Tensor) -> None:
    """From a loss to weights that have moved, masks in force."""
    penalty = penalty_of(method, state)
    state.optimiser.zero_grad()
    torch.autograd.backward(loss if penalty is None else loss + penalty)
    call_hook(method, "after_backward", state)
    state.optimiser.step()
    state.masks.apply(state.prunable)


def _change(method: Method, hook: str, state: TrainState) -> None:
    """Call a hook that may change weights or masks, and put the masks in force again."""
    if overrides(method, hook):
        call_hook(method, hook, state)
        state.masks = Masks.of(state.masks)
        state.masks.apply(state.prunable)


def _training_part(data: Data) -> Data:
    """What a method may see of a data set."""
    return replace(data, validation=data.validation.first(0), test=data.test.first(0))


def _batches(model: nn.Module, data: Data, settings: RunSettings) -> Batches:
    """The images of a run, distorted as its recipe says."""
    recipe, seeds = settings.recipe, settings.seeds
    given: TrainingDistortion | None = None
    clean_steps = 0
    if recipe.distortion is not None:
        if recipe.distortion.trains == "fine-tuned":
            clean_steps = max(0, settings.steps - recipe.sparse_steps)
        if recipe.distortion.is_adversarial:
            given = AdversarialNoise(
                recipe.distortion,
                seeds["distortion"],
                model,
                data.train,
                batch_size=recipe.batch_size,
                steps=settings.steps - clean_steps,
            )
        else:
            given = DrawnDegradations(
                recipe.distortion, seeds["distortion"], settings.degrade, data.train.images
            )
    device = torch.device(settings.device)
    return Batches(data.train, recipe.batch_size, seeds["order"], device, given, clean_steps)


@contextmanager
def _seeded(settings: RunSettings) -> Iterator[None]:
    """Seed torch's global generators for a while, and give them back as they were."""
    seed, device = seed_for(settings.seeds["order"], "global"), torch.device(settings.device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _check_unchanged(
    method: Method, before: Mapping[str, tuple[int, ...]], after: Mapping[str, tuple[int, ...]]
) -> None:
    """A method may change values, not tensors."""
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            was, is_now = (str(shapes.get(name, "not there")) for shapes in (before, after))
            raise TrainingError(
                f"method {method.name!r} changed the network: {name!r} was {was} and is {is_now}",
                hint="take whatever prepare() added away again in finish()",
            )


def _wanted_zeros(state: TrainState) -> int:
    """How many zeros the level asks for; with another's masks to work on, as many as these have."""
    if state.donor is not None:
        return sum(mask.numel() - int(mask.count_nonzero()) for mask in state.donor.values())
    return zeros_at(state.level, sum(weight.numel() for weight in state.prunable.values()))


def _checked_level(
    method: Method,
    state: TrainState,
    level: float,
    wanted: int,
    *,
    zeros_before: int,
    native_zeros: int,
) -> float:
    """The level that was reached, counted from the weights.

    Zeros that the network came with are not held against a method that asks for fewer. Nor is there
    a level to be met where a method trains the one network that all levels share.
    """
    weights = prunable(state.model)
    total = sum(weight.numel() for weight in weights.values())
    zeros = count_zeros(weights)
    allowed = tolerance(weights, method.structure)
    is_shared = method.shares_training and level == 0
    if is_shared or wanted - allowed <= zeros <= max(wanted, zeros_before) + allowed:
        return zeros / total
    if zeros == native_zeros > wanted:
        raise LevelNotReachedError(
            f"method {method.name!r} makes {zeros / total:.4f} of the weights zero by itself, more "
            f"than the level {level:g} asks for",
            achieved=zeros / total,
            hint="weaken its penalty, or ask for a higher level",
        )
    raise TrainingError(
        f"method {method.name!r} left {zeros} of {total} prunable weights zero, where the "
        f"level {level:g} asks for {wanted}",
        allowed=f"{wanted} ± {allowed}",
        hint="reach the level in finish(), for instance with magnitude_masks()",
    )
