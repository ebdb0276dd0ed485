"""Minimal Euclidean perturbations: the best of several attacks, checked twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.attacks import ATTACKS
from robench.attacks.base import Attack, AttackResult, distances, judge
from robench.attacks.budget import Oracle
from robench.attacks.flags import Evidence, has_no_gradient, raise_flags
from robench.attacks.problem import Problem, examine
from robench.attacks.ray import bisect_ray
from robench.attacks.report import AttackReport, MemberReport
from robench.attacks.suites import AttackSuite, attack_suite
from robench.attacks.verify import Verifier

__all__ = ["minimal_l2"]

MISCLASSIFIED, NONE = "misclassified", "none"


@torch.inference_mode(False)
def minimal_l2(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    suite: str | AttackSuite = "l2-quick",
    seed: int = 0,
    *,
    references: Tensor | None = None,
    box: bool = True,
    batch_size: int | None = None,
) -> AttackReport:
    """How far each image must be pushed, in Euclidean distance, until the model errs.

    Every attack of the suite runs, and a bisection along the ray shortens what it found. For each
    image the closest point counts that is finite, in the box, and adversarial both in float32 with
    another batch size and in float64; a point that is not makes way for the next closest one.

    Args:
        model: in evaluation mode, deterministic, from [0, 1] to logits of at least two classes.
        images: float32 [N, C, H, W] or [N, F], in [0, 1].
        labels: integers [N].
        suite: name of an attack suite, or one of your own.
        seed: of everything random; it is combined with each image's pixels.
        references: images to start from that need not be attacked, [M, ...]; `None` takes `images`.
        box: whether adversarials must lie in [0, 1]. Without the box distances are shorter, and not
            to be compared with others.
        batch_size: images attacked at a time; `None` derives it from their size. It bounds the
            memory, and changes no distance by more than rounding.

    Raises:
        InputError: names what is wrong with the model, the images or the labels.
        UnknownNameError: there is no such suite.
    """
    chosen = attack_suite(suite) if isinstance(suite, str) else suite
    attacks = {member.key: _attack(member.attack, member.params) for member in chosen.members}
    problem = examine(
        model, images, labels, references=references, box=box, seed=seed, batch_size=batch_size
    )
    verifier = Verifier(problem.model, problem.images)
    parts = [_attack_part(part, attacks, chosen.ray_steps, verifier) for part in problem.split()]
    return _report(problem, attacks, parts, chosen, verifier, images.device)


@dataclass(frozen=True)
class _Trial:
    """One attack on one part of the images: what it found, and that after bisection."""

    result: AttackResult
    points_on_ray: Tensor
    distance_on_ray: Tensor
    ray_forwards: Tensor


@dataclass(frozen=True)
class _Part:
    """Everything about some of the images."""

    trials: Mapping[str, _Trial]
    adversarial: Tensor
    distance: Tensor
    winner: tuple[str, ...]
    lost: Tensor
    has_no_gradient: Tensor


def _attack(name: str, params: Mapping[str, object]) -> Attack:
    return ATTACKS.get(name)(**params)


def _attack_part(
    part: Problem, attacks: Mapping[str, Attack], ray_steps: int, verifier: Verifier
) -> _Part:
    trials = {key: _try(part, attack, ray_steps) for key, attack in attacks.items()}
    adversarial, distance, winner, lost = _closest(part, trials, verifier)
    return _Part(trials, adversarial, distance, winner, lost, has_no_gradient(part))


def _try(part: Problem, attack: Attack, ray_steps: int) -> _Trial:
    result = attack.attack(part)
    points, distance = result.adversarial.clone(), result.distance.clone()
    forwards = torch.zeros_like(result.forwards)
    rows = (part.correct & result.success).nonzero().flatten()
    if len(rows):
        found = part.select(rows)
        oracle = Oracle(found)
        shorter = bisect_ray(oracle, points[rows], oracle.rows, steps=ray_steps)
        points[rows], distance[rows] = judge(found, [points[rows], shorter])
        forwards[rows] = oracle.forwards
    return _Trial(result, points, distance, forwards)


def _closest(
    part: Problem, trials: Mapping[str, _Trial], verifier: Verifier
) -> tuple[Tensor, Tensor, tuple[str, ...], Tensor]:
    """The closest point of each image that holds; the closest of all may not."""
    keys = [key for key in trials for _ in range(2)]
    pairs = [(t.points_on_ray, t.result.adversarial) for t in trials.values()]
    points = torch.stack([version for pair in pairs for version in pair])
    lengths = torch.stack(
        [d for t in trials.values() for d in (t.distance_on_ray, t.result.distance)]
    )
    order = lengths.argsort(dim=0, stable=True)
    adversarial = part.images.clone()
    distance = torch.where(part.correct, torch.inf, 0.0).to(torch.float64)
    winner = [NONE if correct else MISCLASSIFIED for correct in part.correct.tolist()]
    pending = part.correct.clone()
    for choice in order:
        pending &= lengths.gather(0, choice[None])[0].isfinite()
        rows = pending.nonzero().flatten()
        if not len(rows):
            break
        candidates = points[choice[rows], rows]
        holds = verifier.holds(part.select(rows), candidates)
        kept = rows[holds]
        adversarial[kept] = candidates[holds]
        distance[kept] = distances(part.images[kept], candidates[holds])
        for row in kept.tolist():
            winner[row] = keys[int(choice[row])]
        pending[kept] = False
    lost = part.correct & distance.isinf() & lengths.isfinite().any(dim=0)
    return adversarial, distance, tuple(winner), lost


def _report(
    problem: Problem,
    attacks: Mapping[str, Attack],
    parts: Sequence[_Part],
    suite: AttackSuite,
    verifier: Verifier,
    device: torch.device,
) -> AttackReport:
    members = {key: _member([part.trials[key] for part in parts], device) for key in attacks}
    distance = torch.cat([part.distance for part in parts])
    deepfool = next((members[k] for k, a in attacks.items() if a.name == "deepfool"), None)
    evidence = Evidence(
        correct=problem.correct,
        distance=distance,
        deepfool=deepfool.distance.to(distance.device) if deepfool else None,
        deepfool_on_ray=deepfool.distance_on_ray.to(distance.device) if deepfool else None,
        has_no_gradient=torch.cat([part.has_no_gradient for part in parts]),
        lost=torch.cat([part.lost for part in parts]),
    )
    passes = sum((m.forwards + m.backwards for m in members.values()), torch.zeros(()).long())
    return AttackReport(
        distance=distance.to(device),
        adversarial=torch.cat([part.adversarial for part in parts]).to(device),
        winner=tuple(name for part in parts for name in part.winner),
        passes=passes,
        correct=problem.correct.to(device),
        norm=distances(problem.images, torch.zeros_like(problem.images)).to(device),
        flags=raise_flags(problem, evidence),
        attacks=members,
        suite=str(suite),
        seed=problem.seed,
        box=problem.box,
        notes=_notes(members, verifier),
    )


def _notes(members: Mapping[str, MemberReport], verifier: Verifier) -> tuple[str, ...]:
    raised = [
        f"the attack {key!r} raised {member.error}; what it had found by then counts"
        for key, member in members.items()
        if member.error
    ]
    if not verifier.in_double:
        raised.append("the model does not run in float64: points were checked in float32 alone")
    return tuple(raised)


def _member(trials: Sequence[_Trial], device: torch.device) -> MemberReport:
    result = AttackResult.join([trial.result for trial in trials]).to(device)
    return MemberReport(
        distance=result.distance,
        distance_on_ray=torch.cat([trial.distance_on_ray for trial in trials]).to(device),
        forwards=result.forwards + torch.cat([t.ray_forwards for t in trials]).to(device),
        backwards=result.backwards,
        seconds=result.seconds,
        error=result.error,
    )
