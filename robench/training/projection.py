"""Noise of an exact length, after the clipping to the range of an image."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["at_distance"]


def at_distance(images: Tensor, noise: Tensor, distance: float) -> Tensor:
    """Images with noise added, scaled so that they lie at an exact distance from what they were.

    For each image the factor η >= 0 is found for which ‖clip(x + ηδ, 0, 1) - x‖ is the distance.
    The square of that norm is a sum of min(η|δᵢ|, cᵢ)², where cᵢ is the room that a value has in
    the direction of its noise: between two values that reach their bound it is a parabola in η, so
    that with the bounds in order η has a closed form. It may be differentiated by the noise, as
    long as the same values stay at their bounds. The problem is that of Rusak et al. 2020 (arXiv
    2001.06057).

    Args:
        images: float [N, ...] in [0, 1].
        noise: δ, of the same shape.
        distance: Euclidean, at least 0. Where no factor reaches it, the image ends as far away as
            its noise leads; where the noise is zero, it stays.

    Returns:
        Images in [0, 1], of the same shape.
    """
    speed = noise.detach().flatten(1).double().abs()
    room = torch.where(noise.detach() > 0, 1 - images, images).flatten(1).double()
    time = torch.where(speed > 0, room / speed, torch.inf)
    is_free = time >= _last_bound_reached(time, room, speed, distance)
    moves = noise.flatten(1)
    free = torch.where(is_free, moves, 0.0).square().sum(dim=1)
    blocked = torch.where(is_free, 0.0, room).square().sum(dim=1)
    left = (distance**2 - blocked).clamp_min(0.0).to(free.dtype)
    # Where everything that can move is to be at its bound, any factor well beyond that will do.
    farthest = 2 * torch.where(time.isfinite(), time, 0.0).amax(dim=1).to(free.dtype)
    factor = torch.where(free > 0, (left / free.where(free > 0, 1.0)).sqrt(), farthest)
    return (images + factor.view(-1, *[1] * (images.dim() - 1)) * noise).clamp(0.0, 1.0)


def _last_bound_reached(time: Tensor, room: Tensor, speed: Tensor, distance: float) -> Tensor:
    """The factor at which the first value that stays free would reach its bound, [N, 1].

    Args:
        time: the factor at which each value reaches its bound, infinite where it does not move.
        room: how far it can go.
        speed: how far it goes for a factor of one.
        distance: what is wanted.
    """
    ordered, order = time.sort(dim=1)
    reached = room.gather(1, order).square()
    slopes = speed.gather(1, order).square()
    # What has reached its bound by then, itself included, and what is still on its way.
    blocked = torch.where(ordered.isfinite(), reached, 0.0).cumsum(dim=1)
    free = (slopes.flip(1).cumsum(dim=1).flip(1) - slopes).clamp_min(0.0)
    squares = torch.where(
        ordered.isfinite(), blocked + ordered.nan_to_num(posinf=0.0).square() * free, torch.inf
    )
    first = torch.searchsorted(
        squares.contiguous(), squares.new_full((len(squares), 1), distance**2)
    )
    inside = first < time.shape[1]
    found = ordered.gather(1, first.clamp_max(time.shape[1] - 1))
    return torch.where(inside, found, torch.inf)
