"""Rules of attacks, checked on small networks with known outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from robench.conformance import datasets, networks
from robench.conformance.rule import BrokenError, SkippedError, rule
from robench.conformance.rules.common import (
    documented,
    globals_kept,
    imports_cleanly,
    tensors_kept,
)
from robench.data.base import to_float
from robench.errors import AttackError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from robench.attacks.core.base import Attack, AttackResult
    from robench.conformance.datasets import DataName
    from robench.conformance.subject import PluginSubject
    from robench.models.base import Network

__all__ = ["RULES"]

_PROBLEMS: tuple[tuple[str, DataName], ...] = (
    ("mlp", "images"),
    ("convnet", "images"),
    ("mlp", "rows"),
)
_IMAGES = 12
_FEW_PASSES = 7
_SAME = 0.01
"""Largest relative difference of distances that rounding can explain."""


@rule("give every parameter a default, or document which parameters have none")
def made_by_default(subject: PluginSubject) -> str:
    """The attack can be created without parameters."""
    return repr(_attack(subject))


@rule("take `images`, `labels` and `rows` of any shape from the oracle; fix the line named above")
def runs(subject: PluginSubject) -> str:
    """The attack finishes on images and on feature vectors, and returns one point for each."""
    found = []
    for name, data in _PROBLEMS:
        result = _attacked(subject, name, data)
        outside = int(result.out_of_bounds.sum())
        changed = f"{int(result.success.sum())} of {_IMAGES} classes changed on {name}, {data}"
        found.append(f"{changed} ({outside} points outside the box)" if outside else changed)
    return "; ".join(found)


@rule("use oracle.gradient or oracle.query, and return or query the adversarials that were found")
def changes_a_class(subject: PluginSubject) -> str:
    """On an undefended network, at least one image changes its class (attack success rate > 0)."""
    result = _attacked(subject, "mlp", "images")
    count = int(result.success.sum())
    if not count:
        raise BrokenError(f"none of {_IMAGES} images changed its class", subject.line_of("run"))
    return f"{count} of {_IMAGES}, {int(result.passes.max())} passes at most"


@rule("draw random numbers from the oracle, which is seeded; use no global generator and no clock")
def deterministic(subject: PluginSubject) -> str:
    """Two runs with the same seed find the same points, whatever the global generators' state."""
    for network in ("mlp", "convnet"):
        first = _attacked(subject, network, "images")
        torch.rand(7)
        if not torch.equal(first.adversarial, _attacked(subject, network, "images").adversarial):
            raise BrokenError("two runs with one seed differ", subject.line_of("run"))
    return "twice the same"


@rule("restore what the attack changes: generators, default dtype, threads, grad mode")
def restores_globals(subject: PluginSubject) -> str:
    """The attack leaves generators, default dtype, threads and grad mode unchanged."""
    with globals_kept(subject, "run"):
        _attacked(subject, "convnet", "images")
    return "all as before"


@rule("work on copies: `points = oracle.images.clone()`; never change the model")
def leaves_inputs_alone(subject: PluginSubject) -> str:
    """Images, references and weights are unchanged, and the network stays in evaluation mode."""
    model, images, references = _problem("convnet", "images")
    watched = {"the images": images, "the references": references, **model.state_dict()}
    with tensors_kept(subject, "run", watched):
        _run(subject, model, images, references)
    if model.training:
        raise BrokenError("it leaves the network in training mode", subject.line_of("run"))
    return "images, references and weights"


@rule("treat each image separately: no averages, stopping criteria or random numbers per batch")
def images_are_independent(subject: PluginSubject) -> str:
    """The adversarial of an image does not depend on the other images in its batch."""
    model, images, references = _problem("convnet", "images")
    together = _run(subject, model, images, references)
    apart = _run(subject, model, images, references, batch_size=5)
    if not torch.equal(together.success, apart.success):
        raise BrokenError(
            "in other batches other images change their class", subject.line_of("run")
        )
    known = together.success
    if not bool(known.any()):
        raise SkippedError("it changes no class on this network")
    ratio = apart.distance[known] / together.distance[known]
    typical = float((ratio - 1).abs().median())
    if typical > _SAME:
        raise BrokenError(
            f"in other batches distances differ by {typical:.1%} in the median",
            subject.line_of("run"),
        )
    return f"in batches of 5 and {_IMAGES}, {typical:.2%} apart in the median"


@rule("do not catch BudgetExhaustedError: it ends the search, and the points found so far count")
def bears_a_limit(subject: PluginSubject) -> str:
    """With a query budget of a few passes per image the attack ends and does not exceed it."""
    model, images, references = _problem("mlp", "images")
    result = _run(subject, model, images, references, limit=_FEW_PASSES)
    most = int(result.passes.max())
    if most > _FEW_PASSES:
        raise BrokenError(f"it takes {most} passes of {_FEW_PASSES}", subject.line_of("run"))
    return f"{most} of {_FEW_PASSES} passes"


RULES = (
    documented,
    imports_cleanly,
    made_by_default,
    runs,
    changes_a_class,
    deterministic,
    restores_globals,
    leaves_inputs_alone,
    images_are_independent,
    bears_a_limit,
)


def _attack(subject: PluginSubject) -> Attack:
    try:
        attack: Attack = subject.value()
    except UsageError as error:
        raise SkippedError(f"it cannot be made without parameters: {error.what}") from None
    return attack


def _problem(network: str, data: DataName) -> tuple[Network, Tensor, Tensor]:
    """A network with random weights, some images, and references."""
    made = datasets.data(data)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(4)
        model = networks.build(network, made).eval()
    images = to_float(made.test.images[:_IMAGES])
    return model, images, to_float(made.train.images)


def _attacked(subject: PluginSubject, network: str, data: DataName) -> AttackResult:
    return _run(subject, *_problem(network, data))


def _run(
    subject: PluginSubject,
    model: Network,
    images: Tensor,
    references: Tensor,
    *,
    limit: int | None = None,
    batch_size: int | None = None,
) -> AttackResult:
    attack = _attack(subject)
    subject.note("an attack on a small network")
    try:
        return attack(
            model,
            images,
            seed=1,
            references=references,
            transferred=references[: len(images)],  # for attacks that start from other points
            limit=limit,
            batch_size=batch_size,
        )
    except AttackError as error:
        raise BrokenError(error.what, subject.line_of("run")) from None
