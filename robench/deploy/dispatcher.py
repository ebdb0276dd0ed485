"""Questions to torch's dispatcher that have no public answer: does anything observe this call?

A kernel reads addresses, so torch sees none of its operations. A gradient, a forward-mode tangent,
a batch dimension of ``vmap``, a graph that is being recorded, a hook or a mode would be ignored
without an error. Every form therefore asks here first, and lets torch compute if the answer is yes.

The private names of torch that compiled kernels depend on stand here. There is no public name for:
the stacks of modes, the interpreter stack of ``torch.func``, the level of forward-mode
differentiation, the hooks of a module, and zero tensors without memory. Where a public name exists
(tracing, autocast, compiling) it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.autograd import forward_ad
from torch.nn.modules import module as hooks_of_all
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = [
    "has_modes",
    "has_own_memory",
    "is_plain",
    "is_row",
    "is_transformed",
    "is_untouched",
    "is_unwatched",
    "parameters_of",
    "to_dense",
]

_PLAIN_TYPES = (torch.Tensor, nn.Parameter)


def is_plain(numbers: Tensor) -> bool:
    """Whether this is a dense float32 tensor in CPU memory that needs no gradient now."""
    return (
        type(numbers) in _PLAIN_TYPES
        and numbers.dtype is torch.float32
        and numbers.is_cpu
        and numbers.layout is torch.strided
        and not (numbers.requires_grad and torch.is_grad_enabled())
        and has_own_memory(numbers)
    )


def has_own_memory(numbers: Tensor) -> bool:
    """Whether the values of the tensor are those in its memory.

    A lazy negation, as the imaginary part of a conjugate is, lies in memory without its sign. A
    zero tensor, as automatic differentiation makes them, has no memory.
    """
    return not numbers.is_neg() and not numbers._is_zerotensor()


def is_row(weights: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether the tensor is plain, has this shape, and is contiguous."""
    return weights.shape == shape and is_plain(weights) and weights.is_contiguous()


def is_unwatched() -> bool:
    """Whether no part of torch follows, transforms, records or counts operations."""
    return (
        not torch.compiler.is_compiling()  # first: the compiler cannot trace the other questions
        and not is_transformed()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and not torch.is_autocast_enabled("cpu")
        and not torch.is_autocast_enabled("cuda")
        and not (has_modes() and _operations_are_followed())
        and not (torch._C._len_torch_function_stack() and _functions_are_followed())
        and not hooks_of_all._global_forward_hooks
        and not hooks_of_all._global_forward_pre_hooks
    )


def has_modes() -> bool:
    """Whether a ``TorchDispatchMode`` is active."""
    return bool(torch._C._len_torch_dispatch_stack())


def is_transformed() -> bool:
    """Whether tensors may carry tangents, or dimensions that their shape does not show.

    A tensor can only be dual while a level of forward-mode differentiation is open.
    """
    has_level = forward_ad._current_level >= 0
    return has_level or torch._C._functorch.peek_interpreter_stack() is not None


def is_untouched(module: nn.Module) -> bool:
    """Whether calling the module runs its class's forward() alone: no hooks, no own forward()."""
    return not (module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__)


def parameters_of(module: nn.Module) -> Mapping[str, Tensor | None]:
    """The module's own parameters by name, as they are at each look-up.

    A name that is missing was replaced, as parametrisation and pruning do. Attribute access and
    ``named_parameters`` take several times as long, which small layers would notice.
    """
    return module._parameters


def to_dense(sparse: Tensor) -> Tensor:
    """A sparse tensor as a dense one, also within ``torch.func``, which cannot wrap sparse ones."""
    with torch._C._DisableFuncTorch():
        return sparse.to_dense()


def _operations_are_followed() -> bool:
    """Whether a mode asks for each operation; one that only follows memory has `sees_kernels`."""
    modes = _get_current_dispatch_mode_stack()
    return not all(getattr(mode, "sees_kernels", False) for mode in modes)


def _functions_are_followed() -> bool:
    modes = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    return any(type(mode) is not DeviceContext for mode in modes)
