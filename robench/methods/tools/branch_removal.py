"""Which layers to remove from a residual network: those of a branch, all at once.

A branch runs beside an identity shortcut. When one of its layers is zero, so is what the branch
adds, but for a constant; all its layers go then, with its biases and BatchNorm, and the block hands
its input on (Wen et al. 2016, arXiv 1608.03665, section 3.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from robench.errors import LevelNotReachedError
from robench.methods.masks import Masks, tolerance, zeros_at
from robench.methods.tools.frozen_units import Silence
from robench.methods.tools.groups import Grouping
from robench.methods.tools.removal import require_room

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

__all__ = ["Branch", "BranchGroups", "branches_of"]


@dataclass(frozen=True, eq=False)
class Branch:
    """What runs beside one identity shortcut.

    Attributes:
        layers: qualified name → one group, of each convolution and Linear layer.
        others: biases, and weights and biases of BatchNorm.
    """

    layers: dict[str, Grouping]
    others: list[Tensor]

    @property
    def strength(self) -> float:
        """The norm of its weakest layer over the square root of the layer's size."""
        return min(
            float(layer.norms().detach()) / math.sqrt(layer.size) for layer in self.layers.values()
        )


def branches_of(model: nn.Module, weights: Mapping[str, Tensor]) -> list[Branch]:
    """The branches that a network declares by `residual_branches`, and that may go whole.

    Args:
        model: any network; one without that method has no branches.
        weights: the prunable weights, by qualified name. A branch with another weight stays.
    """
    declared = getattr(model, "residual_branches", None)
    found = []
    for names in declared() if callable(declared) else ():
        modules = {name: model.get_submodule(name) for name in names}
        layers = {
            name: Grouping.of(module, "layer")
            for name, module in modules.items()
            if isinstance(module, nn.Conv2d | nn.Linear)
        }
        held = {id(layer.weight) for layer in layers.values()}
        parameters = [p for module in modules.values() for p in module.parameters()]
        if layers and all(f"{name}.weight" in weights for name in layers):
            found.append(Branch(layers, [p for p in parameters if id(p) not in held]))
    return found


class BranchGroups:
    """The branches of a network with the weights that it has now; see `Removable`.

    Args:
        branches: as `branches_of` finds them.
        weights: the prunable weights, by qualified name.
    """

    def __init__(self, branches: Sequence[Branch], weights: Mapping[str, Tensor]) -> None:
        self._branches = branches
        self._weights = {name: weight.detach() for name, weight in weights.items()}
        self._alive = {name: int(weight.count_nonzero()) for name, weight in self._weights.items()}
        self._total = sum(weight.numel() for weight in self._weights.values())

    @property
    def removable(self) -> list[tuple[str, Grouping]]:
        """One group a layer on a branch."""
        return [pair for branch in self._branches for pair in branch.layers.items()]

    @property
    def zeros(self) -> int:
        """How many prunable weights are zero, with all of a branch that has a dead layer."""
        spared = {f"{name}.weight" for name, _ in self.removable}
        if any(not count for name, count in self._alive.items() if name not in spared):
            return self._total
        return self._zeros([branch for branch in self._branches if self._is_dead(branch)])

    def check_reachable(self, level: float) -> None:
        """Make sure that there are enough branches, to within one layer."""
        most = self._zeros(self._branches)
        limit = "layers beside which there is no identity shortcut"
        require_room(level, most, self._total, slack=self._slack, limit=limit)

    def snap(self, level: float) -> tuple[Masks, Silence]:
        """The masks without the weakest branches, as near to the level as they come.

        Dead branches go in any case; then, the weakest first, those that fit; then one that does
        not, if it brings the level nearer.
        """
        wanted = zeros_at(level, self._total)
        order = sorted(self._branches, key=lambda branch: branch.strength)
        gone = [branch for branch in order if self._is_dead(branch)]
        order = [branch for branch in order if not self._is_dead(branch)]
        for branch in order:
            if self._zeros([*gone, branch]) <= wanted:
                gone.append(branch)
        for branch in order:
            room = wanted - self._zeros(gone)
            if branch not in gone and self._zeros([*gone, branch]) - wanted < room:
                gone.append(branch)
        zeros = self._zeros(gone)
        if abs(wanted - zeros) > self._slack:
            raise LevelNotReachedError(
                f"no set of whole branches makes {wanted} of {self._total} weights zero, to within "
                f"the {self._slack} of the largest layer",
                achieved=zeros / self._total,
                hint="ask for another level, or remove smaller groups, as `filter-channel`",
            )
        return self._masks(gone), self._silence(gone)

    @property
    def _slack(self) -> int:
        return tolerance(self._weights, "layer")

    def _is_dead(self, branch: Branch) -> bool:
        return not all(self._alive[f"{name}.weight"] for name in branch.layers)

    def _zeros(self, gone: Sequence[Branch]) -> int:
        """How many prunable weights are zero without these branches."""
        names = {f"{name}.weight" for branch in gone for name in branch.layers}
        return self._total - sum(n for name, n in self._alive.items() if name not in names)

    def _masks(self, gone: Sequence[Branch]) -> Masks:
        masks = Masks({name: weight != 0 for name, weight in self._weights.items()})
        for branch in gone:
            for name in branch.layers:
                masks[f"{name}.weight"] = torch.zeros_like(masks[f"{name}.weight"])
        return masks

    def _silence(self, gone: Sequence[Branch]) -> Silence:
        silence = Silence()
        for branch in gone:
            for other in branch.others:
                silence.hold(other, torch.ones_like(other, dtype=torch.bool))
        return silence
