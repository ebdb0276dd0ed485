"""Whether a kernel may compute: plain numbers in memory, and no part of torch that follows them.

A kernel reads addresses. Torch sees none of its operations: a gradient, a forward-mode tangent, a
batch dimension of ``vmap``, a graph that is being recorded, a hook or a change of precision would
be left out without an error. Every form asks here first, and lets torch compute where one of them
is about.
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
    from torch import Tensor

__all__ = ["is_plain", "is_row", "is_transformed", "is_untouched", "is_unwatched"]

_PLAIN_TYPES = (torch.Tensor, nn.Parameter)


def is_plain(numbers: Tensor) -> bool:
    """Whether these are single-precision numbers in memory, of which no gradient is asked."""
    return (
        type(numbers) in _PLAIN_TYPES
        and numbers.dtype is torch.float32
        and numbers.is_cpu
        and numbers.layout is torch.strided
        and not (numbers.requires_grad and torch.is_grad_enabled())
        # A lazy negation, as the imaginary part of a conjugate is, lies in memory unnegated.
        and not numbers.is_neg()
        and not numbers._is_zerotensor()
    )


def is_row(weights: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether these are such numbers, of that shape, in one row of memory."""
    return weights.shape == shape and is_plain(weights) and weights.is_contiguous()


def is_unwatched() -> bool:
    """Whether no part of torch follows, transforms, records or counts its operations."""
    return (
        not torch.compiler.is_compiling()  # first: a compiler follows nothing of the rest
        and not is_transformed()
        and not torch._C._get_tracing_state()
        and not torch._C._is_any_autocast_enabled()
        and not (torch._C._len_torch_dispatch_stack() and _operations_are_followed())
        and not (torch._C._len_torch_function_stack() and _functions_are_followed())
        and not hooks_of_all._global_forward_hooks
        and not hooks_of_all._global_forward_pre_hooks
    )


def is_transformed() -> bool:
    """Whether tensors may carry tangents, or dimensions that their shape does not show.

    A tensor can only be dual while a level of forward-mode differentiation is open.
    """
    has_level = forward_ad._current_level >= 0
    return has_level or torch._C._functorch.peek_interpreter_stack() is not None


def is_untouched(module: nn.Module) -> bool:
    """Whether calling the module does what its class says: no hooks, no forward() of its own."""
    return not (module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__)


def _operations_are_followed() -> bool:
    """By a mode that asks for each; one that only follows memory says that it sees kernels."""
    modes = _get_current_dispatch_mode_stack()
    return not all(getattr(mode, "sees_kernels", False) for mode in modes)


def _functions_are_followed() -> bool:
    modes = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    return any(type(mode) is not DeviceContext for mode in modes)
