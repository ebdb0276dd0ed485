"""Which units go, and what the next layer's bias must take over; nothing is changed here.

Two sweeps find everything at once. Forward: a unit is *constant* when all its weights from inputs
that are not constant themselves are zero (or when its BatchNorm scales it by zero). Backward: a
unit is *unread* when no unit that stays reads it. A unit goes when it is unread, or when it is
constant and the next layer's bias can take its constant over without changing the function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from robench.compaction.observe import observe
from robench.errors import CompactionError

if TYPE_CHECKING:
    from robench.compaction.links import Link
    from robench.models.chain import Layer

__all__ = ["LayerPlan", "plan_compaction"]

# A constant map that was pooled or normalised is constant up to rounding in double precision.
_UNIFORM = 1e-12


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """What becomes of one layer.

    Attributes:
        layer: the layer.
        link: its way to the next layer; ``None`` for the last.
        kept: bool[units], ``False`` where a unit goes.
        inputs_kept: bool[inputs], ``False`` where the unit that feeds the input goes.
        bias_shift: float64[units], what the constants of removed inputs add to the outputs.
        folded: how many removed units of this layer have a constant other than zero.
        pinned: how many constant units stay because no bias can take their constant over.
    """

    layer: Layer
    link: Link | None
    kept: Tensor
    inputs_kept: Tensor
    bias_shift: Tensor
    folded: int
    pinned: int


@dataclass(frozen=True, eq=False)
class _Constants:
    """The constant units at the start of a link.

    Attributes:
        constant: bool[units].
        movable: bool[units], constant, and the next bias can take the constant over.
        value: float64[units, block], what the next layer reads from a movable unit (a convolution
            reads a uniform map, given as one value); meaningless for the other units.
    """

    constant: Tensor
    movable: Tensor
    value: Tensor


def plan_compaction(
    model: nn.Module, layers: list[Layer], links: list[Link], inputs: Tensor
) -> list[LayerPlan]:
    """Decide for every unit of every layer whether it goes.

    Args:
        model: the network in evaluation mode, float64.
        layers: of this very network, in forward order.
        links: between them, see :func:`robench.compaction.links.link_layers`.
        inputs: float64[N, …], N ≥ 1; the constants are read off while the network runs on the
            first sample.

    Returns:
        One plan a layer, in forward order. Every layer keeps at least one unit.

    Raises:
        InputError: the network does not take `inputs`.
        CompactionError: a layer reads something else than a batch of maps or of feature rows.
    """
    seen = observe(model, [layer.name for layer in layers], inputs[:1])
    read = {name: from_before for name, (from_before, _) in seen.items()}
    found = _find_constants(layers[0], links, read)
    kept = _find_kept(layers[-1], links, found)
    weights = _weights(layers[0])
    inputs_kept, shift = weights.new_ones(weights.shape[1]).bool(), weights.new_zeros(len(weights))
    plans: list[LayerPlan] = []
    for layer, link, constants, stays in zip(
        layers, [*links, None], [*found, None], kept, strict=True
    ):
        counts = (0, 0) if constants is None else _counts(constants, stays)
        plans.append(LayerPlan(layer, link, stays, inputs_kept, shift, *counts))
        if link is not None and constants is not None:
            inputs_kept = _per_input(link, stays)
            shift = _bias_shift(link, constants, ~stays)
    return plans


def _weights(layer: Layer) -> Tensor:
    """The layer's weight as [units, inputs, kernel positions]."""
    weight = layer.module.weight.detach()
    return weight.reshape(*weight.shape[:2], -1)


def _reads(link: Link) -> Tensor:
    """The next layer's weight as [its units, units, block, kernel positions]."""
    weights = _weights(link.consumer)
    return weights.reshape(len(weights), link.layer.units, link.block, -1)


def _per_input(link: Link, units: Tensor) -> Tensor:
    """Spread a bool a unit over the inputs of the next layer that the unit feeds."""
    if link.barrier is None:
        return units.repeat_interleave(link.block)
    return torch.ones(_weights(link.consumer).shape[1], dtype=torch.bool, device=units.device)


# -- forward: which units are constant ------------------------------------------------------------


def _find_constants(first: Layer, links: list[Link], read: dict[str, Tensor]) -> list[_Constants]:
    weights = _weights(first)
    inputs_vary = weights.new_ones(weights.shape[1]).bool()
    found: list[_Constants] = []
    for link in links:
        constants = _constants_of(link, inputs_vary, read[link.consumer.name])
        found.append(constants)
        inputs_vary = _per_input(link, ~constants.constant)
    return found


def _constants_of(link: Link, inputs_vary: Tensor, read: Tensor) -> _Constants:
    weights = _weights(link.layer)
    if link.barrier is not None:
        none = weights.new_zeros(len(weights))
        return _Constants(none.bool(), none.bool(), none[:, None])
    constant = (weights[:, inputs_vary] == 0).flatten(1).all(1) | _silenced(link)
    consumer = link.consumer.module
    _check_rank(link.consumer, read)
    outputs = read[0].reshape(len(weights), -1)
    if not isinstance(consumer, nn.Conv2d):
        return _Constants(constant, constant, outputs)
    spread = outputs.amax(1) - outputs.amin(1)
    uniform = spread <= _UNIFORM * outputs.abs().amax(1).clamp(min=1.0)
    movable = (outputs == 0).all(1) | (uniform & (not _pads_with_zeros(consumer)))
    return _Constants(constant, constant & movable, outputs.mean(1, keepdim=True))


def _check_rank(layer: Layer, read: Tensor) -> None:
    expected = 4 if isinstance(layer.module, nn.Conv2d) else 2
    if read.ndim != expected:
        raise CompactionError(
            f"{layer.name!r} reads a tensor of shape {tuple(read.shape)}",
            where=layer.name,
            allowed="(N, C, H, W) for a Conv2d, (N, features) for a Linear",
        )


def _silenced(link: Link) -> Tensor:
    """Units that a BatchNorm on the way multiplies by zero."""
    weight = link.layer.module.weight
    silenced = torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
    for norm in link.norms:
        if norm.module.affine:
            silenced |= (norm.module.weight.detach().reshape(-1, norm.block) == 0).all(1)
    return silenced


def _pads_with_zeros(conv: nn.Conv2d) -> bool:
    """Whether the border of a constant map looks different to the kernel than its middle."""
    if conv.padding_mode != "zeros" or conv.padding == "valid":
        return False
    if conv.padding == "same":
        return any(size > 1 for size in conv.kernel_size)
    return any(size != 0 for size in conv.padding)


# -- backward: which units stay -------------------------------------------------------------------


def _find_kept(last: Layer, links: list[Link], found: list[_Constants]) -> list[Tensor]:
    kept = [_weights(last).new_ones(last.units).bool()]
    for link, constants in zip(reversed(links), reversed(found), strict=True):
        kept.insert(0, _kept_before(link, constants, kept[0]))
    return kept


def _kept_before(link: Link, constants: _Constants, readers: Tensor) -> Tensor:
    if link.barrier is not None:
        return torch.ones_like(constants.constant)
    unread = (_reads(link)[readers] == 0).all(0).flatten(1).all(1)
    stays = ~(constants.movable | unread)
    if not stays.any():
        stays[0] = True  # a layer without units computes nothing
    return stays


def _bias_shift(link: Link, constants: _Constants, gone: Tensor) -> Tensor:
    """What the removed constants add to each unit of the next layer, float64[units]."""
    weights = _weights(link.consumer)
    if link.barrier is not None:
        return weights.new_zeros(len(weights))
    moved = gone & constants.movable
    # A uniform map meets every kernel position, so their weights add up.
    return (_reads(link).sum(3)[:, moved] * constants.value[moved]).sum((1, 2))


def _counts(constants: _Constants, kept: Tensor) -> tuple[int, int]:
    """How many constants are folded, and how many pin their unit."""
    folded = ~kept & constants.movable & (constants.value != 0).any(1)
    pinned = kept & constants.constant & ~constants.movable
    return int(folded.sum()), int(pinned.sum())
