"""What becomes of a network: its level, its determinism, and whether others can use it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from robench.compaction import compact, report_of
from robench.conformance import datasets
from robench.conformance.method_run import initial
from robench.conformance.rule import BrokenError, SkippedError, rule
from robench.conformance.subject import summary
from robench.data.base import to_float
from robench.errors import CompactionError, InputError, LevelNotReachedError, NotApplicableError
from robench.spec import is_dense
from robench.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from robench.conformance.method_run import MethodRun
    from robench.conformance.subject import Subject
    from robench.methods.masks import Masks

__all__ = ["LEVELS", "RULES", "difference"]

LEVELS = (0.5, 0.9, 0.98)
"""The levels that every method is asked for."""


@rule("reach the level in finish(), with robench.methods.masks; raise LevelNotReachedError if not")
def reaches_levels(subject: Subject) -> str:
    """The level is reached to within one unit, or the method raises an error that says why not."""
    if is_dense(subject.name):
        raise SkippedError("the dense control has no level but 0")
    reached, asked, words = 0, 0, []
    for level in LEVELS:
        for run in subject.on_every_network(level=level):
            asked += 1
            reached += run.result is not None
            if run.fatal is not None and run.fatal.rule == "reaches-levels":
                raise BrokenError(run.fatal.why, subject.located(run, run.fatal))
            if run.declined is not None:
                words.append(_words(run))
    if not reached and not words:
        raise subject.nothing_ran()
    return "; ".join([f"{reached} of {asked} reached", *dict.fromkeys(words)])


@rule("request no zeros at level 0: zeros_at(0, weights) is 0")
def level_zero_is_dense(subject: Subject) -> str:
    """At level 0 nothing is pruned, except weights that the penalty itself drives to zero."""
    words = []
    for run in subject.on_every_network(level=0.0):
        network = run.setting.network
        if subject.run(network=network).fatal is not None:
            continue
        if run.fatal is not None:
            why = f"{run.fatal.why} ({run.setting.label})"
            raise BrokenError(why, subject.located(run, run.fatal))
        result = run.result
        words.append(_words(run) if result is None else f"{network}: {result.level:.3g}")
    subject.first_complete()
    return "; ".join(words)


@rule("draw from state.generator only; do not iterate over sets or read the clock")
def deterministic(subject: Subject) -> str:
    """Two runs with the same seeds end with the same masks and weights."""
    first = subject.first_complete()
    network = first.setting.network
    again = subject.run(network=network, process_seed=1)
    if (differing := difference(first, again)) is not None:
        raise BrokenError(f"two runs on {network} differ in {differing}", subject.line_of())
    return f"twice on {network}, whatever the global generators held"


@rule("draw from state.generator; seed other generators from it too, by torch.randint")
def seed_matters(subject: Subject) -> str:
    """Another seed changes the result if, and only if, the method draws from its generator."""
    first = subject.first_complete()
    network = first.setting.network
    if difference(first, subject.run(network=network, process_seed=1)) is not None:
        raise SkippedError("two runs with the same seeds differ already; see `deterministic`")
    draws = first.observer.is_drawing or first.earlier_draws
    differing = difference(first, subject.run(network=network, method_seed=2))
    if draws and differing is None:
        network = "convnet" if network == "mlp" else "mlp"
        first = subject.run(network=network)
        differing = difference(first, subject.run(network=network, method_seed=2))
    if draws and differing is None:
        raise SkippedError("it draws, but what it drew decided nothing in runs this short")
    if differing is not None and not draws:
        raise BrokenError(
            f"it never draws from state.generator, and yet two seeds differ in {differing}",
            subject.line_of(),
        )
    return "it draws, and the seed matters" if draws else "it never draws, and no seed matters"


@rule("store everything that the network's outputs depend on in its parameters and buffers")
def reloads(subject: Subject) -> str:
    """The saved weights, loaded into a new network, give the same outputs."""
    reloaded = []
    for run in subject.on_every_network():
        if run.result is None:
            continue
        if problem := _unlike_when_reloaded(run, run.result.masks):
            why = f"{problem} after reloading ({run.setting.network})"
            raise BrokenError(why, subject.line_of("finish"))
        reloaded.append(run.setting.network)
    if not reloaded:
        raise subject.nothing_ran()
    return f"equal outputs of {', '.join(reloaded)}"


@rule("declare the structure that finish() really removes; silence what adds to it, see Silence")
def compacts(subject: Subject) -> str:
    """Where the method declares a structure, compaction removes it and preserves the outputs."""
    structure = subject.kind.structure
    if structure == "unstructured":
        raise SkippedError("it removes single weights, which compaction leaves in place")
    removed = {}
    for network in ("mlp", "convnet"):
        run = subject.run(network=network)
        if run.result is None:
            continue
        example = to_float(datasets.data(run.setting.data).train.images[:32])
        try:
            removed[network] = report_of(compact(run.model, example)).units_removed
        except NotApplicableError as error:
            raise SkippedError(summary(error)) from None
        except CompactionError as error:
            raise BrokenError(error.what, subject.line_of("finish")) from None
    if not removed:
        raise subject.nothing_ran()
    if structure in ("neuron", "filter", "channel") and not any(removed.values()):
        raise BrokenError(
            f"it declares {structure!r}, and yet there is no whole unit to take out at level 0.5",
            subject.line_of("finish"),
        )
    return ", ".join(f"{count} units out of {network}" for network, count in removed.items())


RULES = (reaches_levels, level_zero_is_dense, deterministic, seed_matters, reloads, compacts)


def difference(one: MethodRun, other: MethodRun) -> str | None:
    """In what two runs ended unlike each other; `None` if in nothing."""
    if one.result is None or other.result is None:
        words = [summary(run.declined) for run in (one, other) if run.declined is not None]
        return None if one.result is other.result else f"one has no result: {words}"
    if name := _unlike(dict(one.result.masks), other.result.masks):
        return f"the masks of {name!r}"
    if name := _unlike(one.model.state_dict(), other.model.state_dict()):
        return f"the values of {name!r}"
    return None


def _unlike_when_reloaded(run: MethodRun, masks: Masks) -> str | None:
    """In what a network differs from a new one that was given its saved weights."""
    data = datasets.data(run.setting.data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        Checkpoint.of(run.model, masks).save(path)
        loaded = Checkpoint.load(path)
    again = initial(run.setting.network, data).eval()
    try:
        loaded.apply_to(again)
    except InputError as error:
        return error.what
    inputs = to_float(data.train.images)
    with torch.no_grad():
        gap = float((run.model(inputs) - again(inputs)).abs().max())
    if gap != 0:
        return f"outputs differ by up to {gap:.3g}"
    return "the masks differ" if _unlike(masks, loaded.masks) else None


def _unlike(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str | None:
    """The first tensor that is not the same in both."""
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other or not torch.equal(one[name], other[name]):
            return name
    return None


def _words(run: MethodRun) -> str:
    if isinstance(run.declined, LevelNotReachedError):
        return f"{run.setting.label}: not reached, {run.declined.achieved:.3f} instead"
    return f"{run.setting.network}: not applicable, {summary(run.declined)}"
