"""What a hook may not leave changed, as values that can be compared before and after it.

An aspect has a name that can stand in a sentence, "the default dtype", and a value that is equal
to itself. The same readings tell which hook broke a rule and, taken line by line, which line.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.random.mtrand import get_bit_generator
from torch import nn

from robench.errors import TrainingError
from robench.methods.masks import Masks, count_zeros
from robench.models.base import prunable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from robench.methods.base import TrainState

__all__ = [
    "Aspects",
    "Process",
    "change",
    "clock",
    "complaint_about_masks",
    "lent",
    "modes",
    "restore_modes",
    "structure",
    "untouchables",
]

Aspects: TypeAlias = "dict[str, Any]"

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Process:
    """The settings and generators that all code of a process shares.

    Attributes:
        before: what they were when this was made.
    """

    _READ: Mapping[str, Callable[[], object]] = {
        "the default dtype": torch.get_default_dtype,
        "the default device": torch.get_default_device,
        "the number of torch threads": torch.get_num_threads,
        "the grad mode": torch.is_grad_enabled,
        "the determinism flag": torch.are_deterministic_algorithms_enabled,
        "torch's global generator": lambda: torch.get_rng_state().numpy().tobytes(),
        "numpy's global generator": lambda: _numpy_state()[1],
        "random's global generator": random.getstate,
    }

    @classmethod
    def read(cls) -> Aspects:
        """All of it, by name."""
        return {name: read() for name, read in cls._READ.items()}

    def __init__(self) -> None:
        self.before = self.read()
        self._torch = torch.get_rng_state()
        self._numpy = _numpy_state()[0]

    def restore(self) -> None:
        """Set everything back to what it was when this was made."""
        before = self.before
        torch.set_default_dtype(before["the default dtype"])
        if torch.get_default_device() != before["the default device"]:
            torch.set_default_device(before["the default device"])
        if torch.get_num_threads() != before["the number of torch threads"]:
            torch.set_num_threads(before["the number of torch threads"])
        torch.set_grad_enabled(before["the grad mode"])
        # Only where it must: setting this flag makes torch import its compiler, two seconds' work.
        if torch.are_deterministic_algorithms_enabled() != before["the determinism flag"]:
            torch.use_deterministic_algorithms(before["the determinism flag"])
        torch.set_rng_state(self._torch)
        get_bit_generator().state = self._numpy
        random.setstate(before["random's global generator"])


def _numpy_state() -> tuple[Any, object]:
    """The state of numpy's legacy generator as it is, and as something that can be compared."""
    state = get_bit_generator().state
    return state, _plain(state)


def _plain(value: Any) -> object:
    if isinstance(value, dict):
        return [(key, _plain(item)) for key, item in value.items()]
    return value.tobytes() if isinstance(value, np.ndarray) else value


def modes(model: nn.Module) -> Aspects:
    """Which parts of the network are in training mode."""
    return {
        f"the training mode of {name or 'the network'!r}": module.training
        for name, module in model.named_modules()
    }


def restore_modes(model: nn.Module, before: Aspects) -> None:
    """Set the modes back, of the parts that are still there."""
    for name, module in model.named_modules():
        module.training = before.get(f"the training mode of {name or 'the network'!r}", True)


def clock(state: TrainState) -> Aspects:
    """What belongs to the loop: step, level, budget, the settings of the optimiser."""
    settings = state.optimiser.param_groups[0].items()
    return {
        "state.step": state.step,
        "state.epoch": state.epoch,
        "state.level": state.level,
        "state.budget": state.budget,
        "state.model": id(state.model),
        "state.optimiser": id(state.optimiser),
        **{f"the optimiser's {key!r}": value for key, value in settings if key != "params"},
    }


def lent(state: TrainState) -> Aspects:
    """The masks of the donor, which belong to the donor."""
    masks = (state.donor or {}).items()
    return {f"the donor's mask of {name!r}": _content(mask) for name, mask in masks}


def complaint_about_masks(state: TrainState, *, may_be_empty: bool) -> str | None:
    """What is wrong with the masks as they are now; `None` if nothing is.

    Args:
        state: of the run.
        may_be_empty: whether a mask may leave nothing of a layer.
    """
    stand_ins = {name: torch.zeros_like(weight) for name, weight in state.prunable.items()}
    try:
        masks = Masks.of(state.masks)
        masks.apply(stand_ins)  # what the loop does with them
    except TrainingError as error:
        return f"{error.what}, not {error.allowed}"
    except (AttributeError, TypeError, ValueError) as error:
        return f"`state.masks` does not hold masks by name: {error}"
    dead = [name for name, mask in masks.items() if not bool(mask.any())]
    if dead and not may_be_empty:
        return f"the mask of {dead[0]!r} leaves no weight, which cuts the network in two"
    return None


def structure(model: nn.Module) -> Aspects:
    """Modules, their attributes and hooks, and the form of every tensor."""
    found: Aspects = {}
    for name, module in model.named_modules():
        label = f"module {name!r}" if name else "the network"
        hooks = (value for key, value in vars(module).items() if key.endswith("_hooks"))
        found[f"the class of {label}"] = type(module).__qualname__
        found[f"the attributes of {label}"] = frozenset(vars(module))
        found[f"the number of hooks on {label}"] = sum(map(len, filter(None, hooks)))
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        found[f"the form of tensor {name!r}"] = (
            tuple(tensor.shape),
            str(tensor.dtype).removeprefix("torch."),
            "trained" if tensor.requires_grad else "not trained",
        )
        hooks_of_tensor = getattr(tensor, "_backward_hooks", None) or ()
        found[f"the number of hooks on tensor {name!r}"] = len(hooks_of_tensor)
    return found


def untouchables(model: nn.Module) -> Aspects:
    """Constants of the network, and the zeros of layers that it does not offer for pruning."""
    running = {
        id(buffer)
        for module in model.modules()
        if isinstance(module, _BATCH_NORMS)
        for buffer in module.buffers()
    }
    offered = {id(weight) for weight in prunable(model).values()}
    constants = {
        f"the values of buffer {name!r}": _content(buffer)
        for name, buffer in model.named_buffers()
        if id(buffer) not in running
    }
    withheld = {
        f"the number of zeros in {name!r}, which is not prunable": count_zeros({name: weight})
        for name, weight in model.named_parameters()
        if weight.dim() > 1 and id(weight) not in offered
    }
    return constants | withheld


def change(name: str, before: Aspects, after: Aspects) -> str:
    """A sentence on what became of an aspect."""
    if name not in before:
        return f"there is something new: {name}"
    if name not in after:
        return f"something is gone: {name}"
    was, is_now = before[name], after[name]
    if isinstance(was, frozenset):
        new, gone = sorted(is_now - was), sorted(was - is_now)
        return f"{name} have changed: " + ", ".join(
            [*(f"{item!r} is new" for item in new), *(f"{item!r} is gone" for item in gone)]
        )
    if isinstance(was, bytes) or name.endswith("generator"):
        return f"{name} changed"
    return f"{name} is {_shown(is_now)}, was {_shown(was)}"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _content(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().tobytes()
