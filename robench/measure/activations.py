"""Peak memory of the activations of a forward pass.

On the CPU, a dispatch mode tracks the lifetime of every storage that an operator allocates: inputs,
outputs of layers and intermediate tensors. Workspaces inside oneDNN or MKL kernels are not seen. On
CUDA the allocator's statistics are used, workspaces included.
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
    """Peak bytes of the activations alive at one time, in a forward pass without gradients.

    Inputs count, since the caller holds them; parameters and buffers do not. Tensors changed in
    place and views count once.

    Args:
        model: in evaluation mode, on the device of the inputs.
        inputs: a batch as the network takes it; it is not changed.
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
    model(inputs.clone())  # libraries allocate their workspaces on the first call
    torch.cuda.synchronize(inputs.device)
    before = int(torch.cuda.memory_allocated(inputs.device))
    torch.cuda.reset_peak_memory_stats(inputs.device)
    model(inputs)
    torch.cuda.synchronize(inputs.device)
    peak = int(torch.cuda.max_memory_allocated(inputs.device))
    return peak - before + int(inputs.nbytes)


class _Followed(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tracks the bytes of live storages that operators of torch allocate.

    Args:
        known: tensors that do not count.

    Attributes:
        sees_kernels: compiled kernels may compute under this mode, since they write to memory that
            torch allocates.
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
        """Track the storage of a tensor, unless it is tracked already."""
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place in self._live or place in self._known:
            return
        self._live[place] = storage.nbytes()
        weakref.finalize(storage, self._live.pop, place)
        self.peak_bytes = max(self.peak_bytes, sum(self._live.values()))


def _is_plain(tensor: Tensor) -> bool:
    """Whether the tensor has a storage; sparse ones do not."""
    return tensor.layout == torch.strided
