"""Minimum-norm adversarial perturbations: the verified best of several attacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from robench.attacks.core.inputs import AttackInputs, check_inputs
from robench.attacks.core.judge import distances
from robench.attacks.core.network import Classifier, without_autocast
from robench.attacks.core.progress import Bar, shown
from robench.attacks.core.surrogates import gradient_sources
from robench.attacks.evaluation.flags import raise_flags
from robench.attacks.evaluation.optimality import optimality
from robench.attacks.suite.best_adversarials import REFERENCE, BestAdversarials, best_verified
from robench.attacks.suite.checks import run_checks
from robench.attacks.suite.diagnostics import Diagnostics, has_no_gradient, measure
from robench.attacks.suite.report import AttackReport, MemberReport
from robench.attacks.suite.runs import Run, RunResult, run_all, runs_of
from robench.attacks.suite.suites import AttackSuite, attack_suite
from robench.attacks.suite.verify import Verifier
from robench.errors import AttackError

__all__ = ["minimal_l2"]

_ERRORS = 4
"""Number of error messages that are shown in full."""


@torch.inference_mode(False)
def minimal_l2(
    model: Classifier,
    images: Tensor,
    labels: Tensor,
    suite: str | AttackSuite = "l2-quick",
    seed: int = 0,
    *,
    references: Tensor | None = None,
    transferred: Tensor | None = None,
    box: bool = True,
    batch_size: int | None = None,
    allow_stochastic: bool = False,
    progress: bool | None = None,
) -> AttackReport:
    """Upper bound of the smallest l2 perturbation that makes the model misclassify each image.

    Every attack of the suite runs, followed by a bisection towards the image. The result for an
    image is its closest point that is finite, in the box, and adversarial both in float32 with
    another batch size and in float64. If a point fails this verification, the next closest one is
    tried.

    Args:
        model: a module in evaluation mode, or a function, deterministic, from [0, 1] to logits of
            at least two classes. It may compute in half or double precision, and may end in a
            softmax or a sigmoid; its decision is the argmax of what it returns. A module may offer
            surrogate gradients, see `robench.attacks.core.surrogates`.
        images: float32 [N, C, H, W] or [N, F], in [0, 1].
        labels: integers [N].
        suite: name of an attack suite, or one of your own.
        seed: seed of all random numbers; it is combined with each image's pixels.
        references: images to start from that are not attacked, [M, ...]; `None` takes `images`.
        transferred: adversarials of a source model for the same images, such as the dense parent,
            [N, ...]; suites with the attack ``transfer`` try them.
        box: whether adversarials must lie in [0, 1]. Distances without the box are shorter and must
            not be compared with those in it.
        batch_size: images attacked at a time; `None` derives it from their size. It bounds the
            memory. It changes distances only through rounding. `alma` amplifies that to a few
            percent on single images; a whole suite hardly changes.
        allow_stochastic: whether to attack a model with random logits. Its distances are random
            too, and the flag ``mode`` is raised.
        progress: whether to show a progress bar on standard error after two seconds; `None` shows
            it if standard error is a terminal.

    Raises:
        InputError: names what is wrong with the model, the images or the labels.
        AttackError: every attack of the suite raised an error.
        UnknownNameError: there is no such suite.
        PluginError: an attack of the suite needs a package that is not installed.
    """
    chosen = attack_suite(suite) if isinstance(suite, str) else suite
    inputs = check_inputs(
        model,
        images,
        labels,
        references=references,
        transferred=transferred,
        box=box,
        seed=seed,
        batch_size=batch_size,
        allow_stochastic=allow_stochastic,
    )
    with without_autocast(inputs.images.device):
        return _report(inputs, chosen, progress).to(images.device)


def _report(inputs: AttackInputs, chosen: AttackSuite, progress: bool | None) -> AttackReport:
    views = gradient_sources(inputs, smoothed=chosen.smoothed)
    runs = runs_of(chosen, views, inputs)
    verifier = Verifier(inputs.model, inputs.images)
    levels = [tuple(runs_of(level, views, inputs)) for level in chosen.levels]
    split = list(inputs.split())
    with shown(len(split) * len(runs), progress) as bar:
        parts = [_attack(part, runs, levels, verifier, bar) for part in split]
        results = {key: RunResult.join([part.results[key] for part in parts]) for key in runs}
        bar.doing("checks of the evaluation")
        found = {key: result.distance_on_ray for key, result in results.items()}
        checks = run_checks(chosen.checks, inputs, runs, found)
    closest = BestAdversarials.join([part.closest for part in parts])
    members = {
        key: _member(runs[key], result, closest, inputs.correct) for key, result in results.items()
    }
    diagnostics = Diagnostics(
        correct=inputs.correct,
        distance=closest.distance,
        margin=closest.margin,
        members=members,
        has_no_gradient=torch.cat([part.has_no_gradient for part in parts]),
        lost=closest.lost,
        by_reference=torch.tensor(
            [name == REFERENCE for name in closest.winner], device=inputs.images.device
        ),
        surrogates=len(views) - 1,
    )
    return AttackReport(
        distance=closest.distance,
        adversarial=closest.adversarial,
        margin=closest.margin,
        winner=closest.winner,
        passes=sum((m.passes for m in members.values()), torch.zeros_like(inputs.labels)),
        allowed=_total([run.allowed for run in runs.values()]),
        correct=inputs.correct,
        norm=distances(inputs.images, torch.zeros_like(inputs.images)),
        flags=raise_flags({**measure(inputs, diagnostics), **checks.values}),
        attacks=members,
        views=tuple(view.name for view in views),
        checks=checks.cost,
        suite=str(chosen),
        seed=inputs.seed,
        box=inputs.box,
        notes=(*_failures(members), *_bounds(closest), *verifier.notes),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """Everything about some of the images but the points of each run."""

    results: Mapping[str, RunResult]
    closest: BestAdversarials
    has_no_gradient: Tensor


def _attack(
    part: AttackInputs,
    runs: Mapping[str, Run],
    levels: Sequence[Sequence[str]],
    verifier: Verifier,
    bar: Bar,
) -> _Part:
    results = run_all(part, runs, bar)
    _check_any_ran(results)
    # Verification may depend on rounding, so that further candidates could increase a distance.
    # The suites that this one extends are therefore evaluated separately, as if run alone.
    closest = reduce(
        BestAdversarials.or_closer,
        (best_verified(part, {key: results[key] for key in keys}, verifier) for keys in levels),
    )
    light = {key: result.without_points() for key, result in results.items()}
    return _Part(light, closest, has_no_gradient(part))


def _check_any_ran(results: Mapping[str, RunResult]) -> None:
    """Refuse a result if no attack ran: the images would seem robust."""
    errors = {key: t.result.error for key, t in results.items() if t.result.error is not None}
    # A refinement without a known adversarial makes no query and raises no error.
    ran = any(t.result.passes.any() for t in results.values() if t.result.error is None)
    if errors and not ran:
        told = [f"{key!r} {error}" for key, error in errors.items()]
        more = f"; and {len(told) - _ERRORS} more" if len(told) > _ERRORS else ""
        raise AttackError(
            f"every attack of the suite failed: {'; '.join(told[:_ERRORS])}{more}",
            hint="a network on which no attack runs is not robust: mend what they name",
        )


def _member(
    run: Run, result: RunResult, closest: BestAdversarials, correct: Tensor
) -> MemberReport:
    wins = sum(name == run.key for name in closest.winner)
    count = int(correct.sum())
    return MemberReport(
        attack=run.attack.name,
        version=run.attack.version,
        params=run.attack.params.model_dump(),
        view=run.view.name,
        is_refinement=run.member.is_refinement,
        distance=result.result.distance,
        distance_on_ray=result.distance_on_ray,
        optimality=optimality(result.distance_on_ray, closest.distance, correct),
        wins=wins / count if count else None,
        forwards=result.result.forwards + result.ray_forwards,
        backwards=result.result.backwards,
        allowed=run.allowed,
        seconds=result.result.seconds,
        out_of_bounds=int(result.result.out_of_bounds.sum()),
        error=result.result.error,
    )


def _total(allowed: Sequence[int | None]) -> int | None:
    known = [passes for passes in allowed if passes is not None]
    return sum(known) if len(known) == len(allowed) else None


def _bounds(closest: BestAdversarials) -> Iterator[str]:
    count = closest.winner.count(REFERENCE)
    if count:
        yield (
            f"no attack found a point that holds for {count} images: their distance is that of the "
            "nearest reference of another class, brought nearer by bisection, and an upper bound"
        )


def _failures(members: Mapping[str, MemberReport]) -> Iterator[str]:
    for key, member in members.items():
        if member.error:
            yield f"the attack {key!r} {member.error}; what it had found by then counts"
