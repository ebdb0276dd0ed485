"""How much memory the activations of one forward pass take at its peak.

On the CPU every storage that a step of torch makes is followed from its birth to its end, as
Python sees them: inputs, outputs of layers, and what steps make in between. What a kernel of oneDNN
or MKL takes for itself while it runs is not seen. On CUDA the allocator tells, workspaces included.
"""

from __future__ import annotations

import weakref
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

__all__ = ["peak_activation_bytes"]


def peak_activation_bytes(model: nn.Module, inputs: Tensor) -> int:
    """Bytes of all activations that live at one time, at most, in a forward pass without gradients.

    The inputs count, since the caller holds them; parameters and buffers do not. A tensor that a
    step changes in place, or a view of one, counts once.

    Args:
        model: in evaluation mode, on the device of the inputs.
        inputs: a batch as the network takes it; it stays as it is.
    """
    own = inputs.clone()
    with torch.no_grad():
        if own.is_cuda:
            return _peak_on_cuda(model, own)
        followed = _Followed(chain(model.parameters(), model.buffers()))
        with followed:
            followed.note(own)
            model(own)
    return followed.peak_bytes


def _peak_on_cuda(model: nn.Module, inputs: Tensor) -> int:
    model(inputs.clone())  # libraries take their workspaces on the first call, and keep them
    torch.cuda.synchronize(inputs.device)
    before = int(torch.cuda.memory_allocated(inputs.device))
    torch.cuda.reset_peak_memory_stats(inputs.device)
    model(inputs)
    torch.cuda.synchronize(inputs.device)
    peak = int(torch.cuda.max_memory_allocated(inputs.device))
    return peak - before + int(inputs.nbytes)


class _Followed(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that steps of torch make, while they live.

    Args:
        known: tensors that do not count.

    Attributes:
        sees_kernels: kernels beside torch may compute, as they do outside: what they write to is
            memory of torch.
    """

    sees_kernels = True

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak_bytes = 0
        self._live: dict[int, int] = {}
        self._known = {tensor.untyped_storage().data_ptr() for tensor in known if _is_plain(tensor)}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor) and _is_plain(leaf):
                self.note(leaf)
        return made

    def note(self, tensor: Tensor) -> None:
        """Follow the storage of a tensor, unless it is followed already."""
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place in self._live or place in self._known:
            return
        self._live[place] = storage.nbytes()
        weakref.finalize(storage, self._live.pop, place)
        self.peak_bytes = max(self.peak_bytes, sum(self._live.values()))


def _is_plain(tensor: Tensor) -> bool:
    """Whether the tensor lies in a storage of its own; sparse ones do not."""
    return tensor.layout == torch.strided
