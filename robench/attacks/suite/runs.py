"""The runs of a suite: each attack with each gradient source and restart, then bisection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from robench.attacks import ATTACKS
from robench.attacks.core.base import Attack, AttackResult
from robench.attacks.core.bisection import bisect_ray
from robench.attacks.core.inputs import AttackInputs
from robench.attacks.core.judge import judge
from robench.attacks.core.oracle import Oracle, per_row
from robench.attacks.core.progress import Bar
from robench.attacks.core.surrogates import SMOOTHED, GradientSource, seen_through
from robench.attacks.suite.suites import AttackSuite, Member

__all__ = ["Run", "RunResult", "run_all", "runs_of", "with_seed"]

_SEEDS = 2**63
_NEXT_SEED = 0x1E37_79B9_7F4A_7C15
"""Offset between the seeds of restarts, far from the small seeds that users choose."""


@dataclass(frozen=True, eq=False)
class Run:
    """One attack of a suite with one gradient source.

    Attributes:
        key: name in the report: ``"ddn"``, ``"ddn@tanh"`` with the gradients of the surrogate
            ``tanh``, ``"ddn#2"`` for the second restart.
        member: of the suite.
        attack: ready to run.
        view: source of its gradients.
        restart: 0 for the first run, else the number of the restart, with its own seed and starts.
        ray_steps: halvings of the bisection that follows.
    """

    key: str
    member: Member
    attack: Attack
    view: GradientSource
    restart: int
    ray_steps: int

    @property
    def limit(self) -> int | None:
        """Passes that one image may cost the attack; gradients of a surrogate cost more."""
        if self.member.budget is None:
            return None
        return self.member.budget * (1 + 2 * self.view.passes) // (2 if self.view.passes else 1)

    @property
    def allowed(self) -> int | None:
        """Passes that one image may cost, bisection included; `None` for no limit."""
        return None if self.limit is None else self.limit + self.ray_steps

    def doubled(self) -> Run | None:
        """The same run with twice the steps, or `None` if the member defines no such parameters."""
        if not self.member.doubled:
            return None
        params = {**self.member.params, **self.member.doubled}
        budget = None if self.member.budget is None else 2 * self.member.budget
        member = replace(self.member, params=params, budget=budget)
        return replace(self, member=member, attack=type(self.attack)(**params))

    def on(self, part: AttackInputs, known: Known) -> RunResult:
        """Attack some images.

        Args:
            part: the images, [n, ...].
            known: the closest adversarials so far. Refinements start there, restarts at random
                points at half their distance.
        """
        inputs = seen_through(part, self.view)
        if self.restart:
            inputs = with_seed(inputs, self.restart)
            inputs = replace(inputs, starts=_random_starts(inputs, known.distance))
        if self.member.is_refinement:
            inputs = replace(inputs, found=known.points)
        result = self.attack.attack(inputs, limit=self.limit)
        points, distance = result.adversarial.clone(), result.distance.clone()
        forwards = torch.zeros_like(result.forwards)
        rows = (part.correct & result.success).nonzero().flatten()
        if len(rows):
            found = part.select(rows)
            oracle = Oracle(found)
            shorter = bisect_ray(oracle, points[rows], oracle.rows, steps=self.ray_steps)
            # Queried again, the point itself might flip back: only a closer one replaces it.
            shorter, shorter_distance = judge(found, [shorter])
            closer = shorter_distance < distance[rows]
            points[rows[closer]] = shorter[closer]
            distance[rows[closer]] = shorter_distance[closer]
            forwards[rows] = oracle.forwards
        return RunResult(result, points, distance, forwards)


@dataclass(frozen=True, eq=False)
class Known:
    """The closest adversarials that the runs so far have found, not verified yet.

    Attributes:
        points: [n, ...]; the image itself where there is none.
        distance: float64 [n]; infinite for none.
    """

    points: Tensor
    distance: Tensor

    @classmethod
    def nothing(cls, part: AttackInputs) -> Known:
        """Before the first run."""
        distance = torch.full_like(part.labels, torch.inf, dtype=torch.float64)
        return cls(part.images, distance)

    def after(self, result: RunResult) -> Known:
        """Updated by the result of a run."""
        closer = result.distance_on_ray < self.distance
        points = torch.where(per_row(closer, self.points), result.points_on_ray, self.points)
        return Known(points, torch.minimum(self.distance, result.distance_on_ray))


@dataclass(frozen=True, eq=False)
class RunResult:
    """Result of one run on some images, before and after bisection."""

    result: AttackResult
    points_on_ray: Tensor
    distance_on_ray: Tensor
    ray_forwards: Tensor

    @classmethod
    def join(cls, parts: Sequence[RunResult]) -> RunResult:
        """Concatenate the results of consecutive batches."""
        return cls(
            result=AttackResult.join([part.result for part in parts]),
            points_on_ray=torch.cat([part.points_on_ray for part in parts]),
            distance_on_ray=torch.cat([part.distance_on_ray for part in parts]),
            ray_forwards=torch.cat([part.ray_forwards for part in parts]),
        )

    def without_points(self) -> RunResult:
        """The same without the points, which take most of the memory."""
        result = replace(self.result, adversarial=self.result.adversarial[:0], surest=None)
        return replace(self, result=result, points_on_ray=self.points_on_ray[:0])


def run_all(
    part: AttackInputs, runs: Mapping[str, Run], bar: Bar | None = None
) -> dict[str, RunResult]:
    """Execute every run on some images, in order; the bar advances by one for each."""
    known, results = Known.nothing(part), {}
    for key, run in runs.items():
        if bar is not None:
            bar.doing(key)
        results[key] = run.on(part, known)
        known = known.after(results[key])
        if bar is not None:
            bar.advance(1)
    return results


def with_seed(inputs: AttackInputs, number: int) -> AttackInputs:
    """The same inputs under another seed; 0 is its own."""
    return replace(inputs, seed=(inputs.seed + number * _NEXT_SEED) % _SEEDS)


def _random_starts(inputs: AttackInputs, known: Tensor) -> Tensor:
    """Points in random directions, at half the distance of the known adversarial, [n, ...]."""
    oracle = Oracle(inputs)
    radius = torch.where(known.isfinite(), known, 1.0).to(oracle.images.dtype) / 2
    return oracle.clip(oracle.images + per_row(radius, oracle.images) * oracle.noise(oracle.rows))


def runs_of(
    suite: AttackSuite, views: Sequence[GradientSource], inputs: AttackInputs
) -> dict[str, Run]:
    """Every run of a suite by key: round after round, and refinements at the end.

    Where the suite extends another, the runs of that one come first, and are the same as if it ran
    by itself: neither what the longer suite adds nor what it finds reaches them.

    Args:
        suite: says what runs, and how often.
        views: sources of gradients, the network's own first; the smoothed one serves suites that
            ask for it.
        inputs: tells whether there is anything to transfer.

    Raises:
        ParameterError: a member has a parameter that its attack does not take.
        PluginError: a member's attack needs a package that is not installed.
    """
    runs = {} if suite.extends is None else runs_of(suite.extends, views, inputs)
    if not suite.smoothed:
        views = [view for view in views if view.name != SMOOTHED]
    members = [
        member
        for member in suite.members
        if member.attack != "transfer" or inputs.transferred is not None
    ]
    guided = [member for member in members if not member.is_gradient_free]
    own, *surrogates = views
    rounds = [(own, 0, [m for m in members if not m.is_refinement])]
    rounds += [(surrogate, 0, guided) for surrogate in surrogates]
    rounds += [(own, number, guided) for number in range(1, suite.rounds - len(surrogates))]
    rounds += [(own, 0, [m for m in members if m.is_refinement])]
    for view, restart, chosen in rounds:
        for member in chosen:
            attack = ATTACKS.get(member.attack)(**member.params)
            key = member.key + (f"#{restart}" if restart else "")
            key += f"@{view.name}" if view is not own else ""
            runs.setdefault(key, Run(key, member, attack, view, restart, suite.ray_steps))
    return runs
