"""What a method is run on and with: odd data, what it declares, what it shares with others."""

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
    """Batches of one, of an odd data set, of a single class and not contiguous are all fine."""
    return _ends_well(subject, _BATCHES)


@rule("expect inputs of any shape, and float labels where state.task is 'regression'")
def takes_rows_and_targets(subject: Subject) -> str:
    """Rows of features are fine, with classes or with a number to predict, or are declined."""
    return _ends_well(subject, _ROWS)


@rule("have supports() give the reason that a hook would otherwise raise, or True")
def supports_agrees(subject: Subject) -> str:
    """supports() gives True or a reason, changes nothing, and is as good as its word."""
    taken = []
    for network in NETWORKS:
        answer = _asked(subject, network)
        trial = subject.trial(network=network)
        if answer is True:
            taken.append(network)
            is_early = not isinstance(trial.declined, LevelNotReachedError)
            if trial.declined is not None and is_early and subject.make().mask_source() is None:
                raise BrokenError(
                    f"supports() says True for {network}, and then: {summary(trial.declined)}",
                    subject.line_of("supports"),
                )
    declined = [network for network in NETWORKS if network not in taken]
    return f"takes {', '.join(taken) or 'none'}; declines {', '.join(declined) or 'none'}"


@rule("let finish() read what it needs from the network alone, not from what prepare() left")
def trains_once(subject: Subject) -> str:
    """One trained network serves all levels: a fresh instance finishes it as the old one would."""
    if not subject.make().shares_training:
        raise SkippedError("it trains a network for each level")
    compared = []
    for network in NETWORKS:
        shared = subject.trial(network=network, level=0.0)
        fresh = subject.trial(network=network)
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


@rule("name a method that has no donor itself, and copy its masks before you change them")
def keeps_its_donor(subject: Subject) -> str:
    """The donor is a method that can lend its masks, and they are left as they are."""
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
        trial = subject.ends_well(**changes)
        if trial is not None:
            outcome = "" if trial.declined is None else f": {summary(trial.declined)}"
            words.append(trial.setting.label + outcome)
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
