"""Minimal Euclidean perturbations: the best of several attacks, checked twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from robench.attacks.base import distances
from robench.attacks.checks import run_checks
from robench.attacks.closest import Closest, closest_that_hold
from robench.attacks.evidence import Evidence, has_no_gradient, measure
from robench.attacks.flags import raise_flags
from robench.attacks.optimality import optimality
from robench.attacks.problem import Problem, examine
from robench.attacks.report import AttackReport, MemberReport
from robench.attacks.suites import AttackSuite, attack_suite
from robench.attacks.trials import Run, Trial, run_all, runs_of
from robench.attacks.verify import Verifier
from robench.attacks.views import gradient_views

__all__ = ["minimal_l2"]


@torch.inference_mode(False)
def minimal_l2(
    model: nn.Module,
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
) -> AttackReport:
    """How far each image must be pushed, in Euclidean distance, until the model errs.

    Every attack of the suite runs, and a bisection along the ray shortens what it found. For each
    image the closest point counts that is finite, in the box, and adversarial both in float32 with
    another batch size and in float64; a point that is not makes way for the next closest one.

    Args:
        model: in evaluation mode, deterministic, from [0, 1] to logits of at least two classes. It
            may offer further gradients, see `robench.attacks.views`.
        images: float32 [N, C, H, W] or [N, F], in [0, 1].
        labels: integers [N].
        suite: name of an attack suite, or one of your own.
        seed: of everything random; it is combined with each image's pixels.
        references: images to start from that need not be attacked, [M, ...]; `None` takes `images`.
        transferred: adversarials of another network for the same images, such as those of the dense
            parent, [N, ...]; suites with the attack ``transfer`` try them.
        box: whether adversarials must lie in [0, 1]. Without the box distances are shorter, and not
            to be compared with others.
        batch_size: images attacked at a time; `None` derives it from their size. It bounds the
            memory, and changes no distance by more than rounding.
        allow_stochastic: whether to attack a model whose logits depend on chance. Its distances do
            so too, and the flag ``mode`` is raised.

    Raises:
        InputError: names what is wrong with the model, the images or the labels.
        UnknownNameError: there is no such suite.
        PluginError: an attack of the suite needs a package that is not installed.
    """
    chosen = attack_suite(suite) if isinstance(suite, str) else suite
    problem = examine(
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
    views = gradient_views(problem, smoothed=chosen.smoothed)
    runs = runs_of(chosen, views, problem)
    verifier = Verifier(problem.model, problem.images)
    levels = [tuple(runs_of(level, views, problem)) for level in chosen.levels]
    parts = [_attack(part, runs, levels, verifier) for part in problem.split()]
    trials = {key: Trial.join([part.trials[key] for part in parts]) for key in runs}
    closest = Closest.join([part.closest for part in parts])
    members = {
        key: _member(runs[key], trial, closest, problem.correct) for key, trial in trials.items()
    }
    evidence = Evidence(
        correct=problem.correct,
        distance=closest.distance,
        margin=closest.margin,
        members=members,
        has_no_gradient=torch.cat([part.has_no_gradient for part in parts]),
        lost=closest.lost,
        twins=len(views) - 1,
    )
    found = {key: trial.distance_on_ray for key, trial in trials.items()}
    checks = run_checks(chosen.checks, problem, runs, found)
    report = AttackReport(
        distance=closest.distance,
        adversarial=closest.adversarial,
        margin=closest.margin,
        winner=closest.winner,
        passes=sum((m.passes for m in members.values()), torch.zeros_like(problem.labels)),
        allowed=_total([run.allowed for run in runs.values()]),
        correct=problem.correct,
        norm=distances(problem.images, torch.zeros_like(problem.images)),
        flags=raise_flags({**measure(problem, evidence), **checks.values}),
        attacks=members,
        views=tuple(view.name for view in views),
        checks=checks.cost,
        suite=str(chosen),
        seed=seed,
        box=box,
        notes=(*_failures(members), *verifier.notes),
    )
    return report.to(images.device)


@dataclass(frozen=True)
class _Part:
    """Everything about some of the images but the points of each run."""

    trials: Mapping[str, Trial]
    closest: Closest
    has_no_gradient: Tensor


def _attack(
    part: Problem, runs: Mapping[str, Run], levels: Sequence[Sequence[str]], verifier: Verifier
) -> _Part:
    trials = run_all(part, runs)
    # Whether a point holds may hang by a rounding, so that more candidates could make a distance
    # longer. What the suites that this one extends found counts as they would have found it.
    closest = reduce(
        Closest.or_closer,
        (closest_that_hold(part, {key: trials[key] for key in keys}, verifier) for keys in levels),
    )
    light = {key: trial.without_points() for key, trial in trials.items()}
    return _Part(light, closest, has_no_gradient(part))


def _member(run: Run, trial: Trial, closest: Closest, correct: Tensor) -> MemberReport:
    wins = sum(name == run.key for name in closest.winner)
    count = int(correct.sum())
    return MemberReport(
        attack=run.attack.name,
        version=run.attack.version,
        params=run.attack.params.model_dump(),
        view=run.view.name,
        is_refinement=run.member.is_refinement,
        distance=trial.result.distance,
        distance_on_ray=trial.distance_on_ray,
        optimality=optimality(trial.distance_on_ray, closest.distance, correct),
        wins=wins / count if count else None,
        forwards=trial.result.forwards + trial.ray_forwards,
        backwards=trial.result.backwards,
        allowed=run.allowed,
        seconds=trial.result.seconds,
        out_of_bounds=int(trial.result.out_of_bounds.sum()),
        error=trial.result.error,
    )


def _total(allowed: Sequence[int | None]) -> int | None:
    known = [passes for passes in allowed if passes is not None]
    return sum(known) if len(known) == len(allowed) else None


def _failures(members: Mapping[str, MemberReport]) -> Iterator[str]:
    for key, member in members.items():
        if member.error:
            yield f"the attack {key!r} {member.error}; what it had found by then counts"
