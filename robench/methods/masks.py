"""Masks: which weights survive, how many of them, and how the zeros are counted.

A mask is a boolean tensor of the shape of its weight, true where the weight survives. At level `s`
of N weights exactly ``round(s * N)`` are zero. No layer ever loses all its weights, since that
would cut the network in two: the weight of the highest score in each layer survives whatever the
level, and where the level asks for more zeros than that leaves room for, `NotApplicableError` says
so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from robench.errors import InputError, NotApplicableError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Masks",
    "Scope",
    "achieved_level",
    "apportion",
    "count_zeros",
    "magnitude_masks",
    "masks_by_count",
    "masks_by_score",
    "random_masks",
    "random_scores",
    "tolerance",
    "zeros_at",
]

Scope = Literal["global", "layer"]
"""Whether scores compete over the whole network, or within each layer at the same level."""


class Masks(dict[str, Tensor]):
    """Qualified parameter name → boolean mask, true where the weight survives.

    A weight without a mask is not masked.
    """

    def __init__(self, masks: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(masks or {})
        self._factors: dict[str, tuple[Tensor, int, Tensor]] = {}

    @classmethod
    def of(cls, masks: Mapping[str, Tensor]) -> Masks:
        """`masks` itself where it is of this class already."""
        return masks if isinstance(masks, cls) else cls(masks)

    def apply(self, weights: Mapping[str, Tensor]) -> None:
        """Multiply each masked weight by its mask, in place.

        Raises:
            TrainingError: a mask for a weight that there is not, or of another shape or type.
        """
        with torch.no_grad():
            for name in self:
                weights[self._checked(name, weights)].mul_(self._factor(name, weights[name]))

    def cut(self, weights: Mapping[str, Tensor]) -> None:
        """Set each weight that does not survive to zero, in place; unlike `apply` never to -0.

        Raises:
            TrainingError: as for `apply`.
        """
        with torch.no_grad():
            for name, mask in self.items():
                weights[self._checked(name, weights)].masked_fill_(~mask, 0.0)

    def _checked(self, name: str, weights: Mapping[str, Tensor]) -> str:
        mask = self[name]
        if name not in weights:
            raise TrainingError(f"there is no prunable weight {name!r} to mask", allowed=weights)
        if mask.shape != weights[name].shape or mask.dtype is not torch.bool:
            raise TrainingError(
                f"the mask of {name!r} is {mask.dtype} of shape {tuple(mask.shape)}",
                allowed=f"torch.bool of shape {tuple(weights[name].shape)}",
            )
        return name

    def _factor(self, name: str, weight: Tensor) -> Tensor:
        # Multiplying by a float is seven times faster than by a boolean. The version of a tensor
        # rises whenever somebody edits it in place, so that the copy is never stale.
        mask = self[name]
        kept = self._factors.get(name)
        if kept is None or kept[0] is not mask or kept[1] != mask._version:
            kept = (mask, mask._version, mask.to(weight))
            self._factors[name] = kept
        return kept[2]


def magnitude_masks(
    weights: Mapping[str, Tensor], level: float, *, scope: Scope = "global"
) -> Masks:
    """Masks that zero the weights of smallest magnitude.

    Args:
        weights: name → weight.
        level: share of the weights that become zero, in [0, 1).
        scope: whether magnitudes compete over the whole network or within each layer.

    Raises:
        InputError: a weight that is not a number.
        NotApplicableError: the level leaves no weight in some layer.
    """
    magnitudes = {name: weight.detach().abs() for name, weight in weights.items()}
    return masks_by_score(magnitudes, level, scope=scope)


def random_masks(
    weights: Mapping[str, Tensor],
    level: float,
    *,
    generator: torch.Generator,
    scope: Scope = "global",
) -> Masks:
    """Masks that zero weights at random, each with the same chance.

    Args:
        weights: name → weight.
        level: share of the weights that become zero, in [0, 1).
        generator: source of the numbers, on the CPU, so that all devices draw the same masks.
        scope: ``layer`` gives each layer the same level; ``global`` leaves that to chance.

    Raises:
        NotApplicableError: the level leaves no weight in some layer.
    """
    return masks_by_score(random_scores(weights, generator), level, scope=scope)


def random_scores(weights: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """A number in [0, 1) for each weight, evenly distributed, of the weight's shape and device.

    Args:
        weights: name → weight.
        generator: source of the numbers, on the CPU, so that all devices draw the same ones.
    """
    return {
        # 53 bits, so that ties are too rare to favour a low index.
        name: torch.rand(weight.shape, generator=generator, dtype=torch.float64).to(weight.device)
        for name, weight in weights.items()
    }


def masks_by_score(scores: Mapping[str, Tensor], level: float, *, scope: Scope = "global") -> Masks:
    """Masks that zero the weights of lowest score; of equal scores the first in order go first.

    Args:
        scores: name → score of each weight.
        level: share of the weights that become zero, in [0, 1).
        scope: whether scores compete over the whole network or within each layer. Within layers
            the zeros are dealt out by largest remainder, so that their sum is exact too.

    Returns:
        Masks with exactly ``round(level * N)`` zeros.

    Raises:
        InputError: a level out of range, or a score that is not a number.
        NotApplicableError: the level leaves no weight in some layer.
    """
    if not 0 <= level < 1:
        raise InputError(f"the level {level!r} is out of range", allowed="[0, 1)")
    sizes = [score.numel() for score in scores.values()]
    count = zeros_at(level, sum(sizes))
    if scope == "layer":
        return masks_by_count(scores, apportion([level * size for size in sizes], sizes, count))
    _check_room(sizes, count)
    removed = _lowest_but_one_each(_flat(scores), count)
    return _masks_without(removed, scores)


def masks_by_count(scores: Mapping[str, Tensor], zeros: Sequence[int]) -> Masks:
    """Masks that zero the weights of lowest score in each layer, so many as are given.

    Args:
        scores: name → score of each weight.
        zeros: how many weights of each layer become zero, less than it has; see `apportion`.

    Raises:
        InputError: a score that is not a number.
    """
    counts = zip(_flat(scores), zeros, strict=True)
    removed = [_lowest_but_one_each([score], count)[0] for score, count in counts]
    return _masks_without(removed, scores)


def apportion(shares: Sequence[float], sizes: Sequence[int], count: int) -> list[int]:
    """`count` zeros dealt out to layers by largest remainder, with a weight left in each.

    Args:
        shares: how many zeros each layer should have, in fractions of a weight; their sum is
            `count`, but for rounding.
        sizes: how many weights each layer has.
        count: how many zeros there are to be.

    Returns:
        Whole numbers whose sum is exactly `count`, each within one of its share, unless a layer
        that cannot give its share leaves it to the others.

    Raises:
        NotApplicableError: so many zeros leave no weight in some layer.
    """
    _check_room(sizes, count)
    counts = [min(int(share), size - 1) for share, size in zip(shares, sizes, strict=True)]
    while (missing := count - sum(counts)) > 0:
        room = [place for place, size in enumerate(sizes) if counts[place] < size - 1]
        room.sort(key=lambda place: counts[place] - shares[place])
        for place in room[:missing]:
            counts[place] += 1
    return counts


def zeros_at(level: float, weights: int) -> int:
    """How many of so many weights are zero at that level."""
    return round(level * weights)


def count_zeros(weights: Mapping[str, Tensor]) -> int:
    """How many of the weights are exactly zero."""
    return sum(weight.numel() - int(weight.count_nonzero()) for weight in weights.values())


def achieved_level(weights: Mapping[str, Tensor]) -> float:
    """Share of the weights that are exactly zero, in [0, 1]."""
    return count_zeros(weights) / sum(weight.numel() for weight in weights.values())


def tolerance(weights: Mapping[str, Tensor], structure: str = "unstructured") -> int:
    """By how many zeros a network may miss its level.

    One weight in a thousand, or one unit where that is more: a method that removes whole neurons,
    filters, channels or layers cannot stop in the middle of one.

    Args:
        weights: name → prunable weight.
        structure: what the method removes as a whole. A neuron, filter, channel or shape counts as
            the largest row plus the largest column of any weight, since removing a unit takes what
            leads to it and what it leads to.
    """
    total = sum(weight.numel() for weight in weights.values())
    if structure == "unstructured":
        unit = 1
    elif structure == "layer":
        unit = max(weight.numel() for weight in weights.values())
    else:
        rows = max(weight.numel() // weight.shape[0] for weight in weights.values())
        columns = max(weight.numel() // weight.shape[1] for weight in weights.values())
        unit = rows + columns
    return max(total // 1000, unit)


def _check_room(sizes: Sequence[int], count: int) -> None:
    if count > sum(sizes) - len(sizes):
        raise NotApplicableError(
            f"{count} zeros among {sum(sizes)} weights leave nothing in some of the "
            f"{len(sizes)} layers",
            hint="ask for a lower level, or take a larger network",
        )


def _flat(scores: Mapping[str, Tensor]) -> list[Tensor]:
    """Each tensor in one dimension, none of them with a NaN."""
    flat = [score.detach().flatten() for score in scores.values()]
    for name, score in zip(scores, flat, strict=True):
        if bool(score.isnan().any()):
            raise InputError(f"a score of {name!r} is not a number")
    return flat


def _masks_without(removed: Sequence[Tensor], scores: Mapping[str, Tensor]) -> Masks:
    shapes = zip(scores.items(), removed, strict=True)
    return Masks({name: ~gone.view(score.shape) for (name, score), gone in shapes})


def _lowest_but_one_each(scores: Sequence[Tensor], count: int) -> list[Tensor]:
    """Where the `count` lowest of all scores are, but for the highest of each tensor."""
    sizes = [len(score) for score in scores]
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    stays = torch.stack(
        [
            start + (score == score.max()).nonzero()[-1, 0]
            for start, score in zip(starts, scores, strict=True)
        ]
    )
    everything = torch.cat(list(scores))
    if not everything.is_floating_point():
        everything = everything.double()
    everything[stays] = torch.inf
    return list(torch.split(_lowest(everything, count, stays), sizes))


def _lowest(scores: Tensor, count: int, stays: Tensor) -> Tensor:
    """True at exactly `count` of the scores, the lowest; of equal ones at the first.

    Places in `stays` are never chosen; their scores are infinite.
    """
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = scores.kthvalue(count).values
    chosen = scores < threshold
    ties = scores == threshold
    ties[stays] = False  # where other scores are infinite too
    chosen[ties.nonzero().squeeze(1)[: count - int(chosen.sum())]] = True
    return chosen
