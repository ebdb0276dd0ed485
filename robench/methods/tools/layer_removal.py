"""Which groups to remove from a network of any form, each layer by itself.

Where outputs of several layers are added up, a filter cannot go alone: what reads it reads others
at the same place. Here nothing goes along with a group, and its zeros are counted as they stand,
each once, however many groups share it.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn

from robench.errors import NotApplicableError
from robench.methods.masks import Masks, zeros_at
from robench.methods.tools.frozen_units import Silence
from robench.methods.tools.groups import Grouping, kinds_in
from robench.methods.tools.removal import longest_run, require_room
from robench.models.chain import Layer, trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, fx

    from robench.methods.tools.groups import Groups

__all__ = ["LayerGroups", "layers_in"]


def layers_in(model: nn.Module) -> list[Layer]:
    """The Conv2d and Linear layers of any network, in module order.

    Each has the BatchNorm that alone reads it, if there is one. A layer counts as output if no
    other layer reads what it leads to. In a network that cannot be traced none has a BatchNorm, and
    the last layer is the output.
    """
    modules = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    norms: dict[str, nn.BatchNorm1d | nn.BatchNorm2d] = {}
    outputs = set(list(modules)[-1:])
    try:
        graph = trace(model)
    except NotApplicableError:
        pass
    else:
        outputs = _outputs(graph, modules)
        norms = _batch_norms(graph, modules, model)
    return [
        Layer(name, module, norms.get(name), is_output=name in outputs)
        for name, module in modules.items()
    ]


class LayerGroups:
    """The groups of all layers with the weights that these have now; see `Removable`.

    Args:
        layers: as `layers_in` finds them.
        weights: the prunable weights, by qualified name.
        groups: what they are divided into. The rows of the output never go.
    """

    def __init__(
        self, layers: Sequence[Layer], weights: Mapping[str, Tensor], groups: Groups
    ) -> None:
        self._weights = {name: weight.detach() for name, weight in weights.items()}
        self._layers = [layer for layer in layers if f"{layer.name}.weight" in weights]
        self.removable: list[tuple[str, Grouping]] = [
            (layer.name, Grouping.of(layer.module, kind))
            for layer in self._layers
            for kind in kinds_in(layer.module, groups)
            if kind != "row" or not layer.is_output
        ]

    @property
    def zeros(self) -> int:
        """How many prunable weights are zero now; all of them, where a layer is dead."""
        alive = [int(weight.count_nonzero()) for weight in self._weights.values()]
        return self._total - sum(alive) if all(alive) else self._total

    def check_reachable(self, level: float) -> None:
        """Make sure that the level leaves a group of each kind in each layer."""
        most = self._zeros(self._without(self._ranking))
        require_room(level, most, self._total, slack=self._total // 1000)

    def snap(self, level: float) -> tuple[Masks, Silence]:
        """The masks without the weakest groups; filters that are zero are silent."""
        self.check_reachable(level)
        wanted = zeros_at(level, self._total)
        order = self._ranking
        fits = longest_run(order, lambda run: self._zeros(self._without(run)) <= wanted)
        masks = self._filled(order[:fits], order[fits:], wanted)
        silence = Silence()
        for layer in self._layers:
            if not layer.is_output:
                silence.add(layer, ~masks[f"{layer.name}.weight"].flatten(1).any(1))
        return masks, silence

    @cached_property
    def _total(self) -> int:
        return sum(weight.numel() for weight in self._weights.values())

    @cached_property
    def _ranking(self) -> Tensor:
        """Places of the groups that may go, the weakest first.

        A place counts through the groups in the order of `removable`. The groups that hold the
        largest weight of their layer stay.
        """
        scores = []
        for name, grouping in self.removable:
            score = grouping.norms().detach().double() / math.sqrt(grouping.size)
            groups = grouping.spread(torch.arange(grouping.count, device=score.device)).flatten()
            score[groups[self._weights[f"{name}.weight"].abs().argmax()]] = torch.nan
            scores.append(score)
        flat = torch.cat(scores)
        order = flat.argsort(stable=True)
        return order[~flat[order].isnan()]

    def _without(self, places: Tensor) -> Masks:
        """The masks when these groups go."""
        sizes = [grouping.count for _, grouping in self.removable]
        gone = torch.zeros(sum(sizes), dtype=torch.bool, device=places.device)
        gone[places] = True
        masks = Masks({name: weight != 0 for name, weight in self._weights.items()})
        for (name, grouping), chosen in zip(self.removable, torch.split(gone, sizes), strict=True):
            masks[f"{name}.weight"] &= ~grouping.spread(chosen)
        return masks

    def _zeros(self, masks: Masks) -> int:
        return self._total - sum(int(mask.sum()) for mask in masks.values())

    def _filled(self, chosen: Tensor, rest: Tensor, wanted: int) -> Masks:
        """Add what still fits of the other groups, the weakest first, until the level is met."""
        while True:
            masks = self._without(chosen)
            room = wanted - self._zeros(masks)
            alive = torch.cat(
                [grouping.count_in(masks[f"{name}.weight"]) for name, grouping in self.removable]
            )[rest]
            fitting = rest[(alive > 0) & (alive <= room)]
            if room <= self._total // 1000 or not len(fitting):
                return masks
            chosen = torch.cat([chosen, fitting[:1]])


def _outputs(graph: fx.Graph, modules: Mapping[str, nn.Module]) -> set[str]:
    """The layers from which a way without another layer leads to the output."""
    found: set[str] = set()
    seen: set[fx.Node] = set()
    pending = [node for node in graph.nodes if node.op == "output"]
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.op == "call_module" and node.target in modules:
            found.add(str(node.target))
        else:
            pending += node.all_input_nodes
    return found


def _batch_norms(
    graph: fx.Graph, modules: Mapping[str, nn.Module], model: nn.Module
) -> dict[str, nn.BatchNorm1d | nn.BatchNorm2d]:
    """Of each layer the BatchNorm that reads it, where nothing else does."""
    found = {}
    for node in graph.nodes:
        if node.op == "call_module" and node.target in modules and len(node.users) == 1:
            (reader,) = node.users
            norm = model.get_submodule(str(reader.target)) if reader.op == "call_module" else None
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                found[str(node.target)] = norm
    return found
