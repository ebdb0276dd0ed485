"""HopSkipJump: the slope of the boundary, estimated from answers alone."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.algorithms.nearest import nearest_of_other_classes
from robench.attacks.core.base import Attack
from robench.attacks.core.bisection import bisect_ray
from robench.attacks.core.oracle import Oracle, lengths, per_row
from robench.spec.base import Frozen

__all__ = ["HopSkipJump"]

_SHORTENINGS = 10
"""Halvings of a step at most, until it ends in another class."""
_PROGRESS = 0.999
"""A step that does not shorten the distance by this factor is idle."""
_AT_ONCE = 10
"""Random directions of each image in one question; they bound the memory."""


class HopSkipJump(Attack):
    """Walk along the boundary by random probes: no gradient, no logits, only the answer.

    Chen, Jordan, Wainwright 2020 (arXiv 1904.02144), for the Euclidean distance. At the boundary,
    random steps tell by the share of them that change the class which way the boundary faces; a
    step that way, halved until it is adversarial, is brought back by bisection. Where it beats
    attacks that follow gradients, the gradients are to blame.

    It starts at the closest adversarial that is known, else at the nearest image of another class;
    images that have neither are left out. An image is done when some steps in a row have brought
    it no nearer, which is soon where the boundary is smooth and what is known close.
    """

    name = "hopskipjump"

    class Params(Frozen):
        """How long, and how many probes."""

        steps: Annotated[int, Field(ge=1)] = 20
        """Estimates of the slope."""
        probes: Annotated[int, Field(ge=2)] = 50
        """Random directions of the first estimate."""
        growth: Annotated[float, Field(ge=0, le=2)] = 0.5
        """The t-th estimate has t to this power times as many as the first; the paper has 1/2. The
        larger it is, the less is spent on images that soon are done."""
        reach: Annotated[float, Field(gt=0, lt=1)] | None = None
        """Length of the probes, as a fraction of the distance; `None` is one over the number of
        pixels, as in the paper, which where activations jump looks too closely."""
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Share of the last direction that is added to the new one; none in the paper."""
        patience: Annotated[int, Field(ge=1)] = 5
        """Idle steps in a row after which an image is done."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """All images at once."""
        reach = self.params.reach or 1 / oracle.images[0].numel()
        # Nearer to the boundary than a sixteenth of the probes' length makes no difference to them.
        halvings = math.ceil(math.log2(1 / reach)) + 4
        _find_starts(oracle, halvings)
        rows = oracle.best_distance.isfinite().nonzero().flatten()
        idle = torch.zeros_like(rows)
        direction = torch.zeros_like(oracle.images)
        for step in range(1, self.params.steps + 1):
            if not len(rows):
                break
            points, distance = oracle.best[rows], oracle.best_distance[rows]
            probes = round(self.params.probes * step**self.params.growth)
            uphill = _uphill(oracle, points, rows, reach * distance, probes)
            direction[rows] = _unit(uphill + self.params.momentum * direction[rows])
            forward = _jump(oracle, points, rows, direction[rows], distance / step**0.5)
            bisect_ray(oracle, forward, rows, steps=halvings)
            is_nearer = oracle.best_distance[rows] < _PROGRESS * distance
            idle = torch.where(is_nearer, 0, idle + 1)
            goes_on = idle < self.params.patience
            rows, idle = rows[goes_on], idle[goes_on]
        return oracle.best


def _find_starts(oracle: Oracle, halvings: int) -> None:
    """Let the oracle see images of other classes, where no adversarial is known."""
    rows, starts = nearest_of_other_classes(oracle, 1)
    unknown = oracle.best_distance[rows].isinf()
    rows, starts = rows[unknown], starts[unknown]
    if len(rows):
        oracle.query(starts, rows)
        bisect_ray(oracle, starts, rows, steps=halvings)


def _uphill(oracle: Oracle, points: Tensor, rows: Tensor, radius: Tensor, probes: int) -> Tensor:
    """The unit direction in which more probes change the class, [m, ...].

    Args:
        oracle: answers.
        points: on the boundary, [m, ...].
        rows: int64 [m].
        radius: length of the probes, [m].
        probes: for each point.
    """
    directed = torch.zeros_like(points)
    every = torch.zeros_like(points)
    changed = points.new_zeros(len(points))
    for first in range(0, probes, _AT_ONCE):
        count = min(_AT_ONCE, probes - first)
        many = rows.repeat(count)
        noise = oracle.noise(many)
        reached = points.expand(count, *points.shape).flatten(0, 1)
        reached = oracle.clip(reached + _scaled(noise, radius.repeat(count)))
        sign = 2.0 * oracle.is_adversarial(oracle.query(reached, many), many) - 1
        directed += _scaled(noise, sign).reshape(count, *points.shape).sum(dim=0)
        every += noise.reshape(count, *points.shape).sum(dim=0)
        changed += sign.reshape(count, -1).sum(dim=0)
    # The mean answer is taken off, for it tells nothing of the direction.
    slope = directed - _scaled(every, changed / probes)
    return _unit(slope)


def _jump(
    oracle: Oracle, points: Tensor, rows: Tensor, direction: Tensor, length: Tensor
) -> Tensor:
    """The longest of some halved steps that ends in another class, else no step, [m, ...]."""
    found = points.clone()
    left = torch.arange(len(rows), device=rows.device)
    for _ in range(_SHORTENINGS):
        trial = oracle.clip(points[left] + _scaled(direction[left], length[left]))
        fooled = oracle.is_adversarial(oracle.query(trial, rows[left]), rows[left])
        found[left[fooled]] = trial[fooled]
        left = left[~fooled]
        if not len(left):
            break
        length = length / 2
    return found


def _unit(points: Tensor) -> Tensor:
    return _scaled(points, 1 / lengths(points).clamp_min(torch.finfo(points.dtype).tiny))


def _scaled(points: Tensor, factors: Tensor) -> Tensor:
    return per_row(factors, points) * points
