"""The control of sparsity itself: a dense network with as few weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from robench.errors import NotApplicableError
from robench.methods.base import Method, TrainState
from robench.methods.masks import Masks, zeros_at
from robench.methods.tools.frozen_units import Silence
from robench.models.base import prunable
from robench.models.chain import Layer, chain
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from robench.data.base import Data

__all__ = ["Member", "SmallDense", "fitted_widths", "members"]


class SmallDense(Method):
    """The same network with fewer units in each layer, dense: what sparse ones must beat.

    A sparse network earns its zeros only where it is better than a dense one of as many weights
    (Zhu and Gupta 2017, arXiv 1710.01878). Of each layer the first units stay, about the same share
    of all layers; the input and the output stay whole. The small network starts as a network of its
    kind would: its weights are scaled so that their variance times its own fan-in is what it was in
    the large one (2, where He et al. 2015 initialise). All others are masked from the start, and
    the biases and BatchNorm of units that are gone are held at zero. The level is met to within
    half of what one more unit costs.
    """

    name = "small-dense"
    structure = "neuron"
    starts_from = "init"

    def __init__(self, params: Frozen | None = None) -> None:
        super().__init__(params)
        self._silence = Silence()

    def supports(self, model: nn.Module, _data: Data) -> Literal[True] | str:
        """Networks whose layers can all be made narrower together."""
        try:
            members(model)
        except NotApplicableError as error:
            return str(error)
        return True

    def prepare(self, state: TrainState) -> None:
        """Choose the widths, mask what is beyond them, and rescale what is left."""
        parts = members(state.model)
        widths = fitted_widths(parts, state.level)
        state.masks = Masks()
        for part in parts:
            rows, columns = part.kept(widths)
            weight = part.weight
            mask = torch.zeros_like(weight, dtype=torch.bool)
            mask[:rows, :columns] = True
            state.masks[f"{part.layer.name}.weight"] = mask
            with torch.no_grad():
                weight.mul_(math.sqrt(weight.shape[1] / columns))
            places = torch.arange(part.layer.units, device=weight.device)
            self._silence.add(part.layer, places >= rows)
        state.notes["units"] = {part.layer.name: part.kept(widths)[0] for part in parts}
        state.masks.cut(state.prunable)
        self._silence.apply()
        _check_alignment(state, parts, widths)

    def after_step(self, _state: TrainState) -> None:
        """Keep the units that are gone silent."""
        self._silence.apply()


@dataclass(frozen=True, eq=False)
class Member:
    """A layer, and which of its sides become narrower together with others.

    Attributes:
        layer: the layer.
        rows: the group of widths that its units belong to; `None` for the output, which stays.
        columns: likewise of its inputs; `None` where all stay.
        fan: how many inputs read each unit of that group.
    """

    layer: Layer
    rows: int | None
    columns: int | None
    fan: int = 1

    @property
    def weight(self) -> Tensor:
        """Of the layer."""
        return self.layer.module.weight

    def kept(self, widths: Mapping[int, int]) -> tuple[int, int]:
        """How many units, and how many inputs of each, a network of these widths has."""
        rows, columns = self.weight.shape[:2]
        return (
            rows if self.rows is None else widths[self.rows],
            columns if self.columns is None else widths[self.columns] * self.fan,
        )


def members(model: nn.Module) -> list[Member]:
    """All layers of a network, in order, with what becomes narrower together.

    In a chain each layer has a width of its own. In other networks all layers of the same width
    are one group, so that what is added up stays aligned.

    Raises:
        NotApplicableError: a layer that is not prunable, that is grouped but not depth-wise, or
            whose inputs are not the units of another one.
    """
    try:
        layers, is_chain = chain(model), True
    except NotApplicableError:
        layers, is_chain = _in_module_order(model), False
    weights = {id(weight) for weight in prunable(model).values()}
    found: list[Member] = []
    for index, layer in enumerate(layers):
        if id(layer.module.weight) not in weights:
            raise NotApplicableError(
                f"the weights of {layer.name!r} are not prunable, so that it cannot be narrower",
                where=layer.name,
            )
        group = None if layer.is_output else index if is_chain else layer.units
        found.append(_member(layer, group, found, is_chain))
    return found


def fitted_widths(parts: Sequence[Member], level: float) -> dict[int, int]:
    """How many units each group of layers keeps, so that the level is met as nearly as may be.

    All groups keep the same share of their units, rounded down, and then, those first that lost
    most by that, one unit more where it brings the number of weights nearer.

    Returns:
        Group → number of units, at least 1.

    Raises:
        NotApplicableError: the level would leave some layer without a unit.
    """
    full = {part.rows: part.layer.units for part in parts if part.rows is not None}
    total = sum(part.weight.numel() for part in parts)
    wanted = total - zeros_at(level, total)
    least = _weights(parts, dict.fromkeys(full, 1))
    if least > wanted:
        raise NotApplicableError(
            f"a dense network of {wanted} weights would have no unit left in some layer",
            allowed=f"levels up to {math.floor(1000 * (1 - least / total)) / 1000:g} here",
            hint="ask for a lower level, or take a larger network",
        )

    def at(share: float) -> dict[int, int]:
        return {group: max(int(share * units), 1) for group, units in full.items()}

    fits, too_many = 0.0, 1.0 + 1e-9
    while too_many - fits > 1e-9:
        middle = (fits + too_many) / 2
        if _weights(parts, at(middle)) <= wanted:
            fits = middle
        else:
            too_many = middle
    widths = at(fits)
    for group in sorted(full, key=lambda group: widths[group] - fits * full[group]):
        more = widths | {group: min(widths[group] + 1, full[group])}
        if abs(_weights(parts, more) - wanted) < abs(_weights(parts, widths) - wanted):
            widths = more
    return widths


def _weights(parts: Sequence[Member], widths: Mapping[int, int]) -> int:
    """How many weights a network of these widths has."""
    return sum(math.prod(part.kept(widths)) * math.prod(part.weight.shape[2:]) for part in parts)


def _in_module_order(model: nn.Module) -> list[Layer]:
    """The layers of a network that is no chain, each with the BatchNorm that is named after it."""
    found: list[tuple[str, nn.Conv2d | nn.Linear]] = []
    norms: dict[str, nn.BatchNorm1d | nn.BatchNorm2d] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            found.append((name, module))
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and found:
            last, layer = found[-1]
            if module.num_features == len(layer.weight):
                norms.setdefault(last, module)
    output = len(found) - 1
    return [
        Layer(name, module, norms.get(name), is_output=index == output)
        for index, (name, module) in enumerate(found)
    ]


def _member(layer: Layer, group: int | None, before: Sequence[Member], is_chain: bool) -> Member:
    """A layer's place after those before it; `group` is that of its units."""
    if not before:
        return Member(layer, group, None)
    module = layer.module
    is_grouped = isinstance(module, nn.Conv2d) and module.groups > 1
    inputs = layer.units if is_grouped else module.weight.shape[1]
    by_width = {part.layer.units: part for part in before}
    source = before[-1] if is_chain else by_width.get(inputs, before[-1])
    fan, rest = divmod(inputs, source.layer.units)
    is_depthwise = is_grouped and module.weight.shape[1] == fan == 1
    if rest or source.rows is None or (is_grouped and not is_depthwise):
        raise NotApplicableError(
            f"the first inputs of {layer.name!r} are not the first units of another layer",
            where=layer.name,
            allowed="layers that read all units of one layer, and depth-wise convolutions",
        )
    if is_depthwise:
        return Member(layer, source.rows, None)
    return Member(layer, group, source.rows, fan)


def _check_alignment(state: TrainState, parts: Sequence[Member], widths: Mapping[int, int]) -> None:
    """Make sure that no image reaches an input that the small network does not have.

    Raises:
        NotApplicableError: one does: what units write is not read in the order of the units.
    """
    images, _ = next(state.train_batches())
    reached: list[str] = []

    def look(part: Member, inputs: Tensor) -> None:
        _, columns = part.kept(widths)
        is_image = isinstance(part.layer.module, nn.Conv2d)
        gone = inputs[:, columns:] if is_image else inputs[..., columns:]
        if part.columns is not None and not torch.equal(gone, gone[:1].expand_as(gone)):
            reached.append(part.layer.name)

    hooks = [
        part.layer.module.register_forward_pre_hook(lambda _, args, part=part: look(part, args[0]))
        for part in parts
    ]
    state.model.eval()  # or the BatchNorms would learn from it
    with torch.no_grad():
        state.model(images)
    state.model.train()
    for hook in hooks:
        hook.remove()
    if reached:
        raise NotApplicableError(
            f"{reached[0]!r} reads units that a narrower network would not have",
            where=reached[0],
            hint="networks whose layers mix or reorder units cannot be made narrower by their "
            "first units",
        )
