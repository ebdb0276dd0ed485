"""An inference form as a module: a plain network, and quicker ways to execute it beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from robench.compaction.executables import FAILURES, executable
from robench.compaction.forms.watched import is_untouched, is_unwatched

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import fx

    from robench.compaction.recipe import Execution, Recipe

__all__ = ["InferenceForm"]


class InferenceForm(nn.Module):
    """A network that is executed in the quickest way where nobody wants more than its logits.

    `network` holds all parameters, and is what ``state_dict``, ``load_state_dict`` and moves to
    another device or precision act on. It computes by itself whatever the quicker ways do not
    serve: gradients of inputs and of parameters, tangents and transforms of torch, other image
    sizes, inputs of another precision, training mode, and calls that a hook or a mode follows.
    Quicker ways have weights of their own, twice the memory, and are made anew, in seconds at most,
    at the first call after a weight was changed, loaded or moved, and after copying or unpickling.
    What torch has no record of, writing into ``parameter.data``, they do not notice: call
    :meth:`renew` after that.

    Args:
        network: of plain layers, in evaluation mode.
        recipe: how it is executed.
    """

    def __init__(self, network: fx.GraphModule, recipe: Recipe) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        self._precision = f"torch.{recipe.precision}"
        self._parts: list[nn.Module] = []
        self._made: dict[Execution, Callable[[Tensor], Tensor]] = {}
        self._made_of: list[int] | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs [N, …] → logits [N, classes]."""
        logits: Tensor = self.executable(inputs)(inputs)
        return logits

    def renew(self) -> None:
        """Forget what was made of the weights: it is made of what they are now."""
        self._made_of = None

    def executable(self, inputs: Tensor) -> Callable[[Tensor], Tensor]:
        """What computes such inputs: the plain network, or a quicker way to execute it."""
        if not self._are_served(inputs):
            return self.network
        execution = self.recipe.one if len(inputs) == 1 else self.recipe.many
        is_script = execution not in ("plain", "channels last", "planar")
        if execution == "plain" or (is_script and str(inputs.dtype) != self._precision):
            return self.network
        state = self._state(inputs)
        if state is None:
            return self.network
        if state != self._made_of:
            self._made, self._made_of = {}, state
        made = self._made.get(execution)
        if made is None:
            made = self._made[execution] = self._make(execution, inputs)
        return made

    def adopt(self, execution: Execution, made: Callable[[Tensor], Tensor], inputs: Tensor) -> None:
        """Take a way to execute the network that was made of it as it is."""
        with torch.no_grad():
            self._made, self._made_of = {execution: made}, self._state(inputs)

    def get_submodule(self, target: str) -> nn.Module:
        """A module by its qualified name, here or in the network."""
        try:
            return super().get_submodule(target)
        except AttributeError:
            return self.network.get_submodule(target)

    def __getstate__(self) -> dict[str, Any]:
        """All but what was made of the weights, which is made again."""
        return {**self.__dict__, "_parts": [], "_made": {}, "_made_of": None}

    def _are_served(self, inputs: Tensor) -> bool:
        return (
            is_unwatched()
            and not torch._C._len_torch_dispatch_stack()
            and type(inputs) is Tensor
            and inputs.shape[1:] == self.recipe.input_shape
            and inputs.numel() > 0
            and (inputs.is_cpu or inputs.is_cuda)
            and inputs.layout is torch.strided
            and not inputs.is_neg()
            and not inputs._is_zerotensor()
            and not (inputs.requires_grad and torch.is_grad_enabled())
            and not self.training
        )

    def _state(self, inputs: Tensor) -> list[int] | None:
        """What shows that a weight has changed; ``None`` where the network itself is asked for."""
        if not self._parts or self._parts[0] is not self._modules["network"]:
            self._parts, self._made_of = list(self.network.modules()), None
        asks, kind = torch.is_grad_enabled(), (inputs.dtype, inputs.device)
        state: list[int] = []
        for part in self._parts:
            weights = [weight for weight in part._parameters.values() if weight is not None]
            if part.training or not is_untouched(part):
                return None
            for one in weights:
                if (asks and one.requires_grad) or (one.dtype, one.device) != kind:
                    return None
            held = [*weights, *(one for one in part._buffers.values() if one is not None)]
            if any(map(Tensor.is_inference, held)):  # such a one does not know of what is written
                return None
            for tensor in held:
                state += (id(tensor), tensor.data_ptr(), tensor._version)
            state += map(id, part._modules.values())
        return state

    def _make(self, execution: Execution, inputs: Tensor) -> Callable[[Tensor], Tensor]:
        """The plain network where this torch, or this machine, cannot execute it otherwise."""
        try:
            with torch.inference_mode(mode=False), torch.no_grad():
                return executable(execution, self.network, self.recipe, inputs.clone())
        except FAILURES:
            return self.network
