"""Structured sparsity learning (SSL): group lasso on filters, channels, shapes and layers."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field

from robench.errors import NotApplicableError
from robench.methods.base import Method, Structure, TrainState
from robench.methods.masks import zeros_at
from robench.methods.tools.branch_removal import BranchGroups, branches_of
from robench.methods.tools.frozen_units import Silence
from robench.methods.tools.groups import GROUPS, Groups
from robench.methods.tools.lambda_path import LambdaPath
from robench.methods.tools.layer_removal import LayerGroups, layers_in
from robench.methods.tools.removal import ChainGroups, Removable
from robench.methods.tools.snapshot import Snapshot
from robench.models.base import prunable
from robench.models.chain import chain
from robench.spec.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import JsonValue
    from torch import Tensor, nn

    from robench.data.base import Data
    from robench.methods.tools.groups import Grouping

__all__ = ["StructuredSparsity", "find_groups"]

SMALLEST_WEIGHT = 1e-4
"""Below this the reference implementation sets a weight to zero after each step."""

COUNTS = 100
LEAST_STEPS_BETWEEN_COUNTS = 10
"""Counting zeros takes half as long as a step of a small network, and makes a GPU wait."""


class StructuredSparsity(Method):
    """Structured sparsity learning: group lasso on whole filters, channels, shapes or layers.

    Wen et al. 2016 (arXiv 1608.03665). The penalty is λ_g times the sum of the Euclidean norms of
    all groups, added to the loss of the dense network for the first part of the budget. Then the
    weakest groups go, as many as the level asks for, and the rest is fine-tuned without penalty.
    The first part ends early where the penalty alone has reached the level; λ_g may rise until it
    does. In a chain of layers all goes along that a group strands: the biases and BatchNorm of a
    filter that is gone, and what reads it. The record notes what λ_g was, and which share of the
    groups of each layer the penalty made zero by itself.
    """

    name = "ssl"
    version = 2
    structure: Structure = "filter"
    starts_from = "dense"

    class Params(Frozen):
        """The groups, the penalty, how it is applied, and for how long."""

        groups: Groups = "filter-channel"
        """What is penalised and removed as a whole. ``filter-channel``: filters and input channels;
        ``filter-shape``: filters and single positions of the kernel in each input channel, that is
        rows and columns of the matrix that a convolution is computed with; either means neurons and
        inputs of Linear layers. ``filter``, ``channel``, ``shape``: one of these alone.
        ``filter-2d``: what one filter has for one input channel; in Linear layers neurons and
        inputs. ``depth``: all layers of a branch beside an identity shortcut at once. Filters and
        neurons of the output stay."""
        lambda_g: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3e-3
        """Weight of the penalty, λ_g in the paper, at first. There is no zero: without it nothing
        happens."""
        path_factor: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
        """By how much λ_g rises from one segment to the next, until the zeros get beyond the level.
        Then that segment is taken back, and λ_g bisected. 1: it stays, which on the validation
        splits of the digits and MNIST was more accurate: while λ_g rises there is little time for
        each value. A path wants ``prox``: subgradients of a strong penalty make groups swing about
        zero, and none of them ends there."""
        path_segments: Annotated[int, Field(ge=1)] = 10
        """Into so many segments the steps with the penalty are divided, if λ_g rises."""
        update: Literal["subgrad", "prox"] = "subgrad"
        """``subgrad``, as the authors do: add the penalty's gradient, then zero what is below 1e-4.
        ``prox``: shorten each group after the step, one kind after the other, which gives exact
        zeros. Where groups overlap that is near the proximal operator of their sum, not the same.
        """
        scale: Literal["none", "sqrt"] = "none"
        """``sqrt`` weighs each group by the square root of its size over the mean size."""
        ssl_share: Annotated[float, Field(gt=0, lt=1)] = 0.6
        """Share of the budget with the penalty; the rest is fine-tuning."""

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        if self.params.groups == "depth":
            self.structure = "layer"
        self._find: Callable[[], Removable]
        self._groupings: dict[Tensor, list[tuple[Grouping, float]]] = {}
        self._parameters: list[Tensor] = []
        self._path: LambdaPath
        self._start: Snapshot
        self._steps_between_counts = 0
        self._segment_steps = 0
        self._steps = 0
        self._silence = Silence()
        self._is_shrinking = True

    def supports(self, model: nn.Module, _data: Data) -> Literal[True] | str:
        """Networks that have groups of the kind: for ``depth`` those with residual branches."""
        if find_groups(model, prunable(model), self.params.groups)().removable:
            return True
        if self.params.groups == "depth":
            return (
                "it has no branch beside an identity shortcut, so that no layer can go whole; take "
                f"one of {', '.join(repr(name) for name in GROUPS if name != 'depth')} as `groups`"
            )
        return f"no prunable weight of it has groups of the kind {self.params.groups!r}"

    def prepare(self, state: TrainState) -> None:
        """Find the groups, and make sure that the level is within reach."""
        self._find = find_groups(state.model, state.prunable, self.params.groups)
        groups = self._find()
        groups.check_reachable(state.level)
        groupings = [grouping for _, grouping in groups.removable]
        mean_size = sum(g.size * g.count for g in groupings) / sum(g.count for g in groupings)
        for grouping in groupings:
            scale = math.sqrt(grouping.size / mean_size) if self.params.scale == "sqrt" else 1.0
            self._groupings.setdefault(grouping.weight, []).append((grouping, scale))
        self._parameters = [parameter.detach() for parameter in state.model.parameters()]
        self._path = LambdaPath(self.params.lambda_g, self.params.path_factor, state.level)
        steps = int(self.params.ssl_share * state.budget)
        self._steps_between_counts = max(steps // COUNTS, LEAST_STEPS_BETWEEN_COUNTS)
        is_rising = self.params.path_factor > 1
        in_segment = steps // self.params.path_segments if is_rising else self._steps_between_counts
        self._segment_steps = max(in_segment, 1)
        self._start = Snapshot(state)

    def after_backward(self, _state: TrainState) -> None:
        """Add the subgradient of the penalty, zero for groups that are zero."""
        if self._is_shrinking and self.params.update == "subgrad":
            for weight, groupings in self._groupings.items():
                if weight.grad is not None:
                    squares = weight.detach().square()
                    for grouping, scale in groupings:
                        grouping.add_gradient(weight.grad, self._path.strength * scale, squares)

    def after_step(self, state: TrainState) -> None:
        """Zero what the penalty has made small; later keep removed filters silent."""
        if self._is_shrinking:
            self._shrink(state)
            self._steps += 1
            is_over = state.step >= self.params.ssl_share * state.budget
            is_end = is_over or self._steps == self._segment_steps
            if is_end or self._steps % self._steps_between_counts == 0:
                self._count(state, is_end=is_end)
            if is_over or self._path.is_over:
                self._snap(state)
        self._silence.apply()

    def _shrink(self, state: TrainState) -> None:
        if self.params.update == "prox":
            # Momentum lengthens every step of the loss by 1 / (1 - momentum), and so here.
            reach = self._path.strength * state.learning_rate / (1 - state.momentum)
            for grouping, scale in itertools.chain.from_iterable(self._groupings.values()):
                grouping.shrink(reach * scale)
        else:
            for parameter in self._parameters:
                torch.ops.aten.hardshrink.out(parameter, SMALLEST_WEIGHT, out=parameter)

    def _count(self, state: TrainState, *, is_end: bool) -> None:
        """Go on, to the next segment where one ends, or back to where this one began."""
        total = sum(weight.numel() for weight in state.prunable.values())
        zeros = self._find().zeros
        if zeros > zeros_at(state.level, total):
            self._start.restore(state)
            self._path.went_beyond(self._steps, zeros / total)
        elif is_end:
            self._start = Snapshot(state)
            self._path.stayed_below(self._steps, zeros / total)
        else:
            return
        self._steps = 0

    def _snap(self, state: TrainState) -> None:
        """Choose what goes, for good, and what must be silent for that."""
        groups = self._find()
        state.native = groups.zeros / sum(weight.numel() for weight in state.prunable.values())
        state.notes["lambda_path"] = self._path.notes
        state.notes["zero_groups"] = _zero_groups(groups)
        state.masks, self._silence = groups.snap(state.level)
        self._is_shrinking = False


def find_groups(
    model: nn.Module, weights: Mapping[str, Tensor], groups: Groups
) -> Callable[[], Removable]:
    """How the groups of a network are removed, to be asked again whenever the weights have moved.

    Args:
        model: any network.
        weights: its prunable weights, by qualified name.
        groups: what they are divided into.
    """
    if groups == "depth":
        branches = branches_of(model, weights)
        return lambda: BranchGroups(branches, weights)
    if groups != "filter-2d":
        try:
            layers = chain(model)
            ChainGroups(layers, weights, GROUPS[groups])
        except NotApplicableError:
            pass
        else:
            return lambda: ChainGroups(layers, weights, GROUPS[groups])
    layers = layers_in(model)
    return lambda: LayerGroups(layers, weights, groups)


def _zero_groups(groups: Removable) -> dict[str, JsonValue]:
    """Layer → kind of group → share of its groups that are zero."""
    shares: dict[str, dict[str, JsonValue]] = {}
    for name, grouping in groups.removable:
        zero = 1 - float((grouping.norms() != 0).float().mean())
        shares.setdefault(name, {})[grouping.kind] = round(zero, 6)
    return dict(shares)
