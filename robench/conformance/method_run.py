"""One run of a method on one of the kit's networks, with an observer looking on."""

from __future__ import annotations

import random
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.random.mtrand import get_bit_generator

from robench.conformance import aspects, datasets, networks
from robench.conformance.lines import line_in
from robench.conformance.observer import Fault, Observer, source_files
from robench.data import loading
from robench.errors import NotApplicableError, RobenchError
from robench.methods.base import make
from robench.spec import starts_from_dense
from robench.spec.recipe import Recipe
from robench.training import loop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Literal

    from torch import Tensor

    from robench.conformance.datasets import DataName
    from robench.data.base import Data
    from robench.methods.base import Method
    from robench.models.base import Network
    from robench.training.loop import TrainResult

__all__ = ["STEPS", "MethodRun", "Setting", "as_planned", "run"]

STEPS = 16
"""Optimiser steps of each phase: of the shared dense network, and of what follows it."""

_LEARNING_RATES = {"sgd": 0.05, "adam": 1e-3, "rmsprop": 1e-3}


@dataclass(frozen=True)
class Setting:
    """Everything that can make two runs of one method differ.

    Attributes:
        network: a name in `networks.NETWORKS`.
        level: requested share of prunable weights that are zero.
        optimiser: of the loop.
        batch_size: inputs in a batch.
        data: a name of `datasets.data`.
        inputs: how many training inputs.
        method_seed: seed of the method's generator.
        process_seed: what the global generators are seeded with before the run.
        strided: whether `train_batches` yields inputs that are not contiguous.
    """

    network: str = "mlp"
    level: float = 0.5
    optimiser: Literal["sgd", "adam", "rmsprop"] = "sgd"
    batch_size: int = 32
    data: DataName = "images"
    inputs: int = 160
    method_seed: int = 1
    process_seed: int = 0
    strided: bool = False

    @property
    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return Recipe(batch_size=self.batch_size, optimiser=self.optimiser)

    @property
    def label(self) -> str:
        """``convnet at level 0.5, adam, batches of 1``: what differs from the plain case."""
        plain = Setting()
        words = {
            "optimiser": self.optimiser,
            "batch_size": f"batches of {self.batch_size}",
            "data": self.data,
            "inputs": f"{self.inputs} inputs",
            "strided": "channels last",
        }
        changed = [word for key, word in words.items() if getattr(self, key) != getattr(plain, key)]
        return ", ".join([f"{self.network} at level {self.level:g}", *changed])


@dataclass(frozen=True)
class MethodRun:
    """What a run came to.

    Attributes:
        setting: what was run.
        model: the network as it was left.
        method: the instance that served the run.
        observer: what was seen on the way.
        start: weights and buffers before the run.
        result: what the loop says, where the run ended well.
        declined: why there is no result, where the method said that it has nothing to do here or
            cannot reach the level.
        fatal: what ended the run early, or made its result worthless.
        earlier: faults of the run that trained the network, where this one only finished it.
        earlier_draws: whether the method drew from its generator in that run.
    """

    setting: Setting
    model: Network
    method: Method
    observer: Observer
    start: Mapping[str, Tensor]
    result: TrainResult | None
    declined: NotApplicableError | None = None
    fatal: Fault | None = None
    earlier: tuple[Fault, ...] = ()
    earlier_draws: bool = False

    @property
    def faults(self) -> list[Fault]:
        """All that was noticed, what ended the run among it."""
        return [*self.earlier, *self.observer.faults, *([self.fatal] if self.fatal else [])]

    @property
    def is_complete(self) -> bool:
        """Whether all hooks came to their turn."""
        return self.result is not None or self.observer.is_finished


def run(
    method: Method,
    setting: Setting,
    *,
    start: Mapping[str, Tensor] | None,
    donor: Mapping[str, Tensor] | None = None,
    steps: int,
    finish_only: bool = False,
    by_line: bool = False,
) -> MethodRun:
    """Train with a method, or only finish, as the setting says; global state is left as it was.

    Args:
        method: made for this run.
        setting: what to run.
        start: weights to start from; `None` for the initial ones.
        donor: masks that the method asks for.
        steps: optimiser steps.
        finish_only: whether the network of `start` is trained already, in so many steps.
        by_line: whether to find the lines that are at fault, which is slower.
    """
    data = datasets.data(setting.data, setting.inputs)
    with _process(setting.process_seed):
        model = initial(setting.network, data)
        if start is not None:
            model.load_state_dict(dict(start))
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        observer = Observer(method, model, by_line=by_line, strided=setting.strided)
        options: dict[str, Any] = {} if finish_only else {"donor": donor}
        result: TrainResult | None = None
        declined: NotApplicableError | None = None
        fatal: Fault | None = None
        try:
            with observer.present(), _guarding(observer):
                settings = loop.RunSettings(
                    setting.recipe,
                    level=setting.level,
                    steps=steps,
                    learning_rate=_LEARNING_RATES[setting.optimiser],
                    seeds={"order": 1, "method": setting.method_seed},
                )
                guarded = datasets.guarded(data, lambda: observer.looked_at("held-out data"))
                result = (loop.finish if finish_only else loop.train)(
                    model, method, guarded, settings, **options
                )
        except NotApplicableError as error:
            declined = error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a method raises is told
            fatal = _fatal(error, observer, model, source_files(type(method)))
    return MethodRun(setting, model, method, observer, before, result, declined, fatal)


def as_planned(
    kind: type[Method],
    params: Any,
    setting: Setting,
    *,
    trained: MethodRun | None = None,
    by_line: bool = False,
) -> MethodRun:
    """Run a method as the plan of a suite would have it run.

    It starts from the shared dense network where it says so, gets the masks of its donor, and is
    only finished at each level where one trained network serves them all.

    Args:
        kind: the class.
        params: its parameters.
        setting: what to run.
        trained: the run at level 0, of a method with `shares_training`; `None` makes it.
        by_line: see `run`.
    """
    method = make(kind, params)
    first, donor = kind, None
    if (name := method.mask_source()) is not None:
        giver = make(name)
        first = type(giver)
        given = as_planned(first, giver.params, setting)
        if given.result is None:
            return replace(given, method=method)
        donor = given.result.masks
    is_from_dense = starts_from_dense(first)
    start = _dense_start(setting) if is_from_dense else None
    steps = STEPS if is_from_dense else 2 * STEPS
    if not kind.shares_training or setting.level == 0:
        return run(method, setting, start=start, donor=donor, steps=steps, by_line=by_line)
    if trained is None:
        trained = as_planned(kind, params, replace(setting, level=0.0), by_line=by_line)
    if trained.result is None:
        return trained
    weights = trained.model.state_dict()
    last = run(method, setting, start=weights, steps=steps, finish_only=True, by_line=by_line)
    earlier_draws = trained.observer.is_drawing
    return replace(last, earlier=tuple(trained.faults), earlier_draws=earlier_draws)


def initial(network: str, data: Data) -> Network:
    """The network with its initial weights, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        return networks.build(network, data)


def _dense_start(setting: Setting) -> Mapping[str, Tensor]:
    return _trained_dense(replace(setting, level=0.0, method_seed=1, process_seed=0, strided=False))


@lru_cache(maxsize=64)
def _trained_dense(setting: Setting) -> Mapping[str, Tensor]:
    """Weights of the dense network that methods of one setting start from."""
    trained = run(make("dense"), setting, start=None, steps=STEPS)
    if trained.result is None:
        raise RobenchError(f"the dense control does not train: {trained.fatal}")
    return trained.model.state_dict()


@contextmanager
def _process(seed: int) -> Iterator[None]:
    """Seed the global generators, and give all global state back as it was."""
    process = aspects.Process()
    torch.default_generator.manual_seed(seed)
    get_bit_generator().state = np.random.MT19937(seed).state
    random.seed(seed)
    try:
        yield
    finally:
        process.restore()


@contextmanager
def _guarding(observer: Observer) -> Iterator[None]:
    """Notice when a hook loads a data set: its validation and test splits are in there too."""
    original = loading.data_root

    def noticed(root: str | Path | None = None) -> Path:
        observer.looked_at("a data set that it loaded itself")
        return original(root)

    with ExitStack() as stack:
        stack.callback(setattr, loading, "data_root", original)
        loading.data_root = noticed
        yield


def _fatal(
    error: BaseException, observer: Observer, model: Network, files: frozenset[str]
) -> Fault:
    """Which rule a run broke that did not come to a good end.

    What a hook raised is the hook's fault; else the loop refused what the method had done, and what
    the observer saw, and when, tells which of the rules that was.
    """
    hook = observer.last_hook
    what = error.what if isinstance(error, RobenchError) else f"{type(error).__name__}: {error}"
    where = error.where if isinstance(error, RobenchError) else None
    where = where or line_in(files, error.__traceback__)
    if observer.raised is not None:
        return Fault("hooks-run", what, observer.raised[0], where)
    for fault in observer.faults:
        if fault.rule in ("masks-in-order", "leaves-no-trace", "penalty-counts"):
            return fault
    if observer.is_finished:
        return Fault("reaches-levels", what, "finish")
    if not all(bool(weight.isfinite().all()) for weight in model.state_dict().values()):
        return Fault("stays-finite", what, hook)
    return Fault("hooks-run", what, hook, where)
