"""Checks that need further attacks: convergence, dependence on the seed, and random noise."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.attacks import ATTACKS
from robench.attacks.core.inputs import AttackInputs
from robench.attacks.core.surrogates import OWN, GradientSource
from robench.attacks.evaluation.optimality import area, largest_distance
from robench.attacks.suite.report import CheckReport
from robench.attacks.suite.runs import Run, RunResult, run_all, with_seed
from robench.attacks.suite.suites import Check, Member

__all__ = ["CHECKED", "Checks", "images_to_check", "run_checks"]

CHECKED, LEAST, ONE_IN = 128, 32, 16
"""Checks run on one image in sixteen, at least 32 and at most 128 (or all, if there are fewer).
A checked image costs three times the passes of the suite again, so that the checks add less than a
fifth to the passes of a thousand images."""
_OTHER_SEED = 1_000
"""Number of the seed that the check of seeds uses; restarts have smaller ones."""
_DIRECTIONS = 200


@dataclass(frozen=True)
class Checks:
    """Values of the flags, and the cost of the checks."""

    values: Mapping[str, float | None]
    cost: CheckReport | None


def run_checks(
    checks: Sequence[Check],
    inputs: AttackInputs,
    runs: Mapping[str, Run],
    found: Mapping[str, Tensor],
) -> Checks:
    """Check on a few images whether more steps, another seed or random noise change the result.

    The images are the first correctly classified ones, see `images_to_check`.

    Args:
        checks: which of the flags are wanted.
        inputs: all images.
        runs: of the suite, by key.
        found: distance of each run after bisection, float64 [N].
    """
    if not checks:
        return Checks({}, None)
    started = time.perf_counter()
    rows = inputs.correct.nonzero().flatten()
    rows = rows[: images_to_check(len(rows))]
    if not len(rows):
        nothing = torch.zeros_like(inputs.labels)
        return Checks(dict.fromkeys(checks), CheckReport(0, nothing, 0.0))
    part = inputs.select(rows)
    first = {key: distance[rows] for key, distance in found.items()}
    spent = torch.zeros_like(inputs.labels)
    values: dict[str, float | None] = {}
    for check in checks:
        results = _TRIALS[check](part, runs)
        for result in results.values():
            spent[rows] += result.result.passes + result.ray_forwards
        second = {key: result.distance_on_ray for key, result in results.items()}
        values[check] = _VALUES[check](first, second)
    return Checks(values, CheckReport(len(rows), spent, time.perf_counter() - started))


def images_to_check(count: int) -> int:
    """Number of images to check among `count` correctly classified ones."""
    return min(count, max(LEAST, min(CHECKED, count // ONE_IN)))


def _longer(part: AttackInputs, runs: Mapping[str, Run]) -> dict[str, RunResult]:
    doubled = {key: run.doubled() for key, run in runs.items()}
    return _run(part, {key: run for key, run in doubled.items() if run is not None})


def _reseeded(part: AttackInputs, runs: Mapping[str, Run]) -> dict[str, RunResult]:
    return _run(with_seed(part, _OTHER_SEED), runs)


def _random(part: AttackInputs, _runs: Mapping[str, Run]) -> dict[str, RunResult]:
    member = Member("random-directions", {"directions": _DIRECTIONS, "steps": 10})
    attack = ATTACKS.get(member.attack)(**member.params)
    return _run(part, {"noise": Run("noise", member, attack, GradientSource(OWN), 0, ray_steps=12)})


def _run(part: AttackInputs, runs: Mapping[str, Run]) -> dict[str, RunResult]:
    """The runs on all images, as many at a time as the inputs says."""
    pieces = [run_all(piece, runs) for piece in part.split()]
    return {key: RunResult.join([piece[key] for piece in pieces]) for key in runs}


def _shortest(found: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(found.values())).amin(dim=0)


def _gain(first: Mapping[str, Tensor], longer: Mapping[str, Tensor]) -> float | None:
    """Relative reduction of the area by twice the attack budget."""
    if not longer:
        return None
    before = _shortest(first)
    return _relative(before, torch.minimum(before, _shortest(longer)))


def _difference(first: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float | None:
    """Relative difference of the area between two seeds."""
    change = _relative(_shortest(first), _shortest(other))
    return None if change is None else abs(change)


def _ratio(first: Mapping[str, Tensor], random: Mapping[str, Tensor]) -> float | None:
    """Median distance in random directions over that of the attacks."""
    best = _shortest(first).median().item()
    return _shortest(random).median().item() / best if 0 < best < float("inf") else None


def _relative(before: Tensor, after: Tensor) -> float | None:
    limit = largest_distance(before)
    return 1 - area(after, limit) / area(before, limit) if limit > 0 else None


_TRIALS = {"converge": _longer, "seeds": _reseeded, "noise": _random}
_VALUES = {"converge": _gain, "seeds": _difference, "noise": _ratio}
