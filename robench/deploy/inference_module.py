"""An inference form as a module: a plain network, and its faster executables."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from robench.deploy.dispatcher import has_modes, has_own_memory, is_unwatched
from robench.deploy.executables import FAILURES, executable
from robench.deploy.recipe import SCRIPTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import fx

    from robench.deploy.recipe import Execution, Recipe

__all__ = ["InferenceForm"]


class InferenceForm(nn.Module):
    """A network with a fast executable for calls that need its logits only.

    `network` holds all parameters: ``state_dict``, ``load_state_dict`` and moves to another device
    or precision act on it. It computes itself whenever the executables do not apply: gradients of
    inputs and of parameters, tangents and transforms of torch, other image sizes or precisions,
    training mode, and calls that a hook or a mode observes. Executables have their own copy of the
    weights (twice the memory). They are rebuilt, in seconds at most, at the first call after a
    weight was changed, loaded or moved, and after copying or unpickling. Writes into
    ``parameter.data`` leave no trace in torch and are not noticed: call :meth:`renew` after them.

    Args:
        network: of plain layers, in evaluation mode.
        recipe: the chosen executions.
    """

    def __init__(self, network: fx.GraphModule, recipe: Recipe) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        self._precision = f"torch.{recipe.precision}"
        self._made: dict[Execution, Callable[[Tensor], Tensor]] = {}
        self._made_of: _Snapshot | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs [N, …] → logits [N, classes]."""
        logits: Tensor = self.executable(inputs)(inputs)
        return logits

    def renew(self) -> None:
        """Drop the executables; they are rebuilt from the current weights."""
        self._made_of = None

    def executable(self, inputs: Tensor) -> Callable[[Tensor], Tensor]:
        """What computes such inputs: the plain network, or an executable."""
        if not self._are_served(inputs):
            return self.network
        execution = self.recipe.one if len(inputs) == 1 else self.recipe.many
        is_script = execution in SCRIPTED
        if execution == "plain" or (is_script and str(inputs.dtype) != self._precision):
            return self.network
        weights = self._made_of
        if weights is None or not weights.are_those_of(self.network):
            weights = self._made_of = _Snapshot(self.network)
            self._made = {}
        if weights.is_asked_for() or (inputs.dtype, inputs.device) not in weights.kinds:
            return self.network
        made = self._made.get(execution)
        if made is None:
            made = self._made[execution] = self._make(execution, inputs)
        return made

    def adopt(self, execution: Execution, made: Callable[[Tensor], Tensor]) -> None:
        """Use an executable that was already built from the current weights."""
        self._made, self._made_of = {execution: made}, _Snapshot(self.network)

    def get_submodule(self, target: str) -> nn.Module:
        """A module by its qualified name, here or in the network."""
        try:
            return super().get_submodule(target)
        except AttributeError:
            return self.network.get_submodule(target)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the executables, which are rebuilt."""
        return {**self.__dict__, "_made": {}, "_made_of": None}

    def _are_served(self, inputs: Tensor) -> bool:
        return (
            is_unwatched()
            and not has_modes()
            and type(inputs) is Tensor
            and inputs.shape[1:] == self.recipe.input_shape
            and inputs.numel() > 0
            and (inputs.is_cpu or inputs.is_cuda)
            and inputs.layout is torch.strided
            and has_own_memory(inputs)
            and not (inputs.requires_grad and torch.is_grad_enabled())
            and not self.training
        )

    def _make(self, execution: Execution, inputs: Tensor) -> Callable[[Tensor], Tensor]:
        """Build an executable; the plain network if this torch or this machine cannot."""
        try:
            with torch.inference_mode(mode=False), torch.no_grad():
                return executable(execution, self.network, self.recipe, inputs.clone())
        except FAILURES:
            return self.network


class _Snapshot:
    """The weights of a network as they are now: what shows later that one has changed.

    Args:
        network: whose weights are held.

    Attributes:
        kinds: the precision and the device of its weights, where all have the same; else nothing.
    """

    def __init__(self, network: nn.Module) -> None:
        parts = list(network.modules())
        self._network = network
        self._hooks = [
            own for part in parts for own in (part._forward_hooks, part._forward_pre_hooks)
        ]
        self._insides = [part.__dict__ for part in parts]
        held = [own for part in parts for own in (part._parameters, part._buffers, part._modules)]
        self._held = [own for own in held if own]
        self._now = self._found()
        self._tensors = [one for one in self._now if isinstance(one, Tensor)]
        self._weights = list(network.parameters())
        self._places = list(map(Tensor.data_ptr, self._tensors))
        kinds = {(weight.dtype, weight.device) for weight in self._weights}
        # A tensor that was made in inference mode does not know when it is written to.
        is_known = not any(map(Tensor.is_inference, self._tensors))
        self.kinds = kinds if is_known and len(kinds) == 1 else set()
        self._versions = list(map(_version, self._tensors)) if is_known else []

    def are_those_of(self, network: nn.Module) -> bool:
        """Whether the network still has these weights, and the same modules."""
        now = self._found()
        return (
            network is self._network
            and len(now) == len(self._now)
            and all(map(operator.is_, now, self._now))
            and list(map(Tensor.data_ptr, self._tensors)) == self._places
            and (not self._versions or list(map(_version, self._tensors)) == self._versions)
        )

    def is_asked_for(self) -> bool:
        """Whether somebody wants more of the network than its outputs."""
        return (
            any(self._hooks)
            or any(inside["training"] or "forward" in inside for inside in self._insides)
            or (torch.is_grad_enabled() and any(weight.requires_grad for weight in self._weights))
        )

    def _found(self) -> list[object]:
        return [one for own in self._held for one in own.values()]


_version = operator.attrgetter("_version")
