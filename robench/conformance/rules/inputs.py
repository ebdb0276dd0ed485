"""Rules of methods on unusual data, on supports(), on shared training and on mask sources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from robench.conformance import datasets
from robench.conformance.lines import line_in
from robench.conformance.method_run import initial, run
from robench.conformance.networks import NETWORKS
from robench.conformance.observer import source_files
from robench.conformance.rule import BrokenError, SkippedError, rule
from robench.conformance.rules.outcome import difference
from robench.conformance.subject import summary
from robench.errors import LevelNotReachedError, UnknownNameError
from robench.methods import METHODS
from robench.methods.base import make
from robench.spec import is_dense

if TYPE_CHECKING:
    from robench.conformance.subject import Subject

__all__ = ["RULES"]

_BATCHES: tuple[dict[str, Any], ...] = (
    {"network": "mlp", "batch_size": 1, "inputs": 20},
    {"network": "convnet", "batch_size": 16, "inputs": 37},
    {"network": "mlp", "data": "one class"},
    {"network": "convnet", "strided": True},
)
_ROWS: tuple[dict[str, Any], ...] = (
    {"network": "mlp", "data": "rows"},
    {"network": "mlp", "data": "targets"},
)


@rule("take the batch size from the batch, reshape() rather than view(), and expect any labels")
def takes_any_batch(subject: Subject) -> str:
    """Batches of one sample, of odd sizes, of one class and of non-contiguous inputs work."""
    return _ends_well(subject, _BATCHES)


@rule("expect inputs of any shape, and float labels where state.task is 'regression'")
def takes_rows_and_targets(subject: Subject) -> str:
    """Feature vectors work, for classification and for regression, or supports() declines them."""
    return _ends_well(subject, _ROWS)


@rule("let supports() return True, or the reason for which a hook would raise")
def supports_agrees(subject: Subject) -> str:
    """supports() returns True or a reason, changes nothing, and agrees with what hooks do."""
    taken = []
    for network in NETWORKS:
        answer = _asked(subject, network)
        run = subject.run(network=network)
        if answer is True:
            taken.append(network)
            is_early = not isinstance(run.declined, LevelNotReachedError)
            if run.declined is not None and is_early and subject.make().mask_source() is None:
                raise BrokenError(
                    f"supports() says True for {network}, and then: {summary(run.declined)}",
                    subject.line_of("supports"),
                )
    declined = [network for network in NETWORKS if network not in taken]
    return f"takes {', '.join(taken) or 'none'}; declines {', '.join(declined) or 'none'}"


@rule("let finish() read everything from the network, not from attributes set by other hooks")
def trains_once(subject: Subject) -> str:
    """One trained network serves all levels: a fresh instance finishes it identically."""
    if not subject.make().shares_training:
        raise SkippedError("it trains a network for each level")
    compared = []
    for network in NETWORKS:
        shared = subject.run(network=network, level=0.0)
        fresh = subject.run(network=network)
        if shared.result is None or fresh.result is None:
            continue
        weights = {name: tensor.clone() for name, tensor in shared.model.state_dict().items()}
        steps = shared.result.steps
        setting = replace(shared.setting, level=0.5)
        old = run(shared.method, setting, start=weights, steps=steps, finish_only=True)
        if (differing := difference(fresh, old)) is not None:
            raise BrokenError(
                f"a fresh instance finishes {network} unlike the one that trained, in {differing}",
                subject.line_of("finish"),
            )
        compared.append(network)
    if not compared:
        raise subject.nothing_ran()
    return f"on {', '.join(compared)}"


@rule("name a mask source that has none itself, and copy its masks before changing them")
def keeps_its_donor(subject: Subject) -> str:
    """The mask source is a method without a mask source, and its masks are not modified."""
    name = subject.make().mask_source()
    if name is None:
        raise SkippedError("it asks for no masks of another method")
    where = subject.line_of("donor")
    try:
        METHODS.check(name)
    except UnknownNameError as error:
        raise BrokenError(f"donor() names {name!r}: {error.what}", where) from None
    if is_dense(name) or name == subject.name or make(name).mask_source() is not None:
        raise BrokenError(f"donor() names {name!r}, which has no masks of its own to lend", where)
    return f"{name}, {subject.without('keeps-its-donor')}"


RULES = (takes_any_batch, takes_rows_and_targets, supports_agrees, trains_once, keeps_its_donor)


def _ends_well(subject: Subject, settings: tuple[dict[str, Any], ...]) -> str:
    words = []
    for changes in settings:
        run = subject.ends_well(**changes)
        if run is not None:
            outcome = "" if run.declined is None else f": {summary(run.declined)}"
            words.append(run.setting.label + outcome)
    if not words:
        raise subject.nothing_ran()
    return "; ".join(words)


def _asked(subject: Subject, network: str) -> object:
    """What supports() says of a network, twice, and what it did to it."""
    data = datasets.data("images")
    seen = replace(data, validation=data.validation.first(0), test=data.test.first(0))
    model = initial(network, data)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    where, params = subject.line_of("supports"), subject.params
    try:
        answers = [subject.make(params).supports(model, seen) for _ in range(2)]
    except Exception as error:
        line = line_in(source_files(subject.kind), error.__traceback__) or where
        why = f"supports() raised {type(error).__name__} on {network}: {error}"
        raise BrokenError(why, line) from error
    answer = answers[0]
    if answer is not True and not (isinstance(answer, str) and answer):
        raise BrokenError(f"supports() says {answer!r} of {network}: neither True nor why", where)
    if answers[0] != answers[1]:
        raise BrokenError(
            f"supports() says {answers[0]!r} of {network}, then {answers[1]!r}", where
        )
    after = model.state_dict()
    if any(not torch.equal(before[name], after[name]) for name in before):
        raise BrokenError(f"supports() changes the weights of {network}", where)
    return answer
