"""HopSkipJump: a decision-based attack, which needs only the predicted class."""

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
"""Maximum number of halvings of a step, until it is adversarial."""
_PROGRESS = 0.999
"""A step is idle unless the new distance is below this share of the old one."""
_AT_ONCE = 10
"""Number of random directions per image in one query; it bounds the memory."""


class HopSkipJump(Attack):
    """Walk along the decision boundary, with a gradient estimated from predicted classes.

    Chen, Jordan, Wainwright 2020 (arXiv 1904.02144), for the Euclidean distance. At a boundary
    point, random probes estimate the normal of the boundary: each probe counts as +1 if it is
    adversarial, else as -1. A step along the normal, halved until it is adversarial, is brought
    back to the boundary by bisection. Where this attack beats gradient-based ones, the network
    shows gradient masking.

    It starts at the closest known adversarial, else at the nearest image of another class; images
    with neither are skipped. An image is finished after `patience` idle steps in a row.
    """

    name = "hopskipjump"

    class Params(Frozen):
        """Number of steps and of probes."""

        steps: Annotated[int, Field(ge=1)] = 20
        """Number of estimates of the normal."""
        probes: Annotated[int, Field(ge=2)] = 50
        """Random directions of the first estimate."""
        growth: Annotated[float, Field(ge=0, le=2)] = 0.5
        """Exponent of the number of probes: the t-th estimate has t to this power times as many as
        the first; 1/2 in the paper. Larger values save probes on images that finish early."""
        reach: Annotated[float, Field(gt=0, lt=1)] | None = None
        """Length of the probes, as a fraction of the distance; `None` is one over the number of
        pixels, as in the paper, which is too short where activations are discontinuous."""
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Weight of the previous direction in the new one; 0 in the paper."""
        patience: Annotated[int, Field(ge=1)] = 5
        """Number of idle steps in a row after which an image is finished."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """Attack all images in parallel."""
        reach = self.params.reach or 1 / oracle.images[0].numel()
        # Bisect to a sixteenth of the probes' length: more precision does not change the estimate.
        halvings = math.ceil(math.log2(1 / reach)) + 4
        _find_starts(oracle, halvings)
        rows = oracle.best_distance.isfinite().nonzero().flatten()
        idle = torch.zeros_like(rows)
        direction = torch.zeros_like(oracle.images)
        for step in range(1, self.params.steps + 1):
            if not len(rows):
                break
            # Boundary points [m, ...] and their distances [m].
            points, distance = oracle.best[rows], oracle.best_distance[rows]
            probes = round(self.params.probes * step**self.params.growth)
            # Unit normal, with momentum, [m, ...].
            uphill = _uphill(oracle, points, rows, reach * distance, probes)
            direction[rows] = _unit(uphill + self.params.momentum * direction[rows])
            # Step of length distance / sqrt(t), then bisection back to the boundary.
            forward = _jump(oracle, points, rows, direction[rows], distance / step**0.5)
            bisect_ray(oracle, forward, rows, steps=halvings)
            is_nearer = oracle.best_distance[rows] < _PROGRESS * distance
            idle = torch.where(is_nearer, 0, idle + 1)
            goes_on = idle < self.params.patience
            rows, idle = rows[goes_on], idle[goes_on]
        return oracle.best


def _find_starts(oracle: Oracle, halvings: int) -> None:
    """Query the nearest image of another class, for images without a known adversarial."""
    rows, starts = nearest_of_other_classes(oracle, 1)
    unknown = oracle.best_distance[rows].isinf()
    rows, starts = rows[unknown], starts[unknown]
    if len(rows):
        oracle.query(starts, rows)
        bisect_ray(oracle, starts, rows, steps=halvings)


def _uphill(oracle: Oracle, points: Tensor, rows: Tensor, radius: Tensor, probes: int) -> Tensor:
    """Monte Carlo estimate of the unit normal of the decision boundary, [m, ...].

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
        # Unit directions, [count * m, ...]; probe k of point i is at row k * m + i.
        noise = oracle.noise(many)
        reached = points.expand(count, *points.shape).flatten(0, 1)
        reached = oracle.clip(reached + _scaled(noise, radius.repeat(count)))
        # +1 where the probe is adversarial, else -1, [count * m].
        sign = 2.0 * oracle.is_adversarial(oracle.query(reached, many), many) - 1
        directed += _scaled(noise, sign).reshape(count, *points.shape).sum(dim=0)
        every += noise.reshape(count, *points.shape).sum(dim=0)
        changed += sign.reshape(count, -1).sum(dim=0)
    # Subtract the mean sign as a baseline: sum((sign - mean) * noise), which lowers the variance.
    slope = directed - _scaled(every, changed / probes)
    return _unit(slope)


def _jump(
    oracle: Oracle, points: Tensor, rows: Tensor, direction: Tensor, length: Tensor
) -> Tensor:
    """Halve the step until it is adversarial; no step where it never is, [m, ...]."""
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
