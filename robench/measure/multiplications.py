"""Multiply-accumulates (MACs) of a forward pass, per operator, with and without zero weights.

A dispatch mode sees every operator that torch runs. Its MACs are half of the FLOPs of
:mod:`torch.utils.flop_counter`, and are assigned to the module that is being called. MACs with a
zero weight are counted if one operand depends on parameters only, not on the inputs. Operators
without matrix products are ignored by name; the remaining ones are listed as uncounted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from robench.measure.free_operators import FREE

__all__ = ["Multiplications", "multiplications"]

_INPUT, _WEIGHT = 1, 2
"""Flags: what a tensor was computed from."""

_aten = torch.ops.aten
_FACTORS: dict[Any, tuple[int, ...]] = {
    _aten.mm: (0, 1),
    _aten.bmm: (0, 1),
    _aten.mv: (0, 1),
    _aten.dot: (0, 1),
    _aten.vdot: (0, 1),
    _aten.addmm: (1, 2),
    _aten.baddbmm: (1, 2),
    _aten.addmv: (1, 2),
    _aten.convolution: (0, 1),
    _aten._convolution: (0, 1),
    _aten.mkldnn_rnn_layer: (1, 2),
}
"""Positions of the factors among the arguments; of the weights, for a recurrent layer."""


def _of_recurrent_layer(inputs: Tensor, of_inputs: Tensor, of_states: Tensor, *_: object) -> int:
    steps = inputs.numel() // inputs.shape[-1]
    return steps * (of_inputs.numel() + of_states.numel())


_FORMULAS: dict[Any, Callable[..., int]] = {
    _aten.mv: lambda matrix, *_: int(matrix.numel()),
    _aten.addmv: lambda _, matrix, *__: int(matrix.numel()),
    _aten.dot: lambda vector, *_: int(vector.numel()),
    _aten.vdot: lambda vector, *_: int(vector.numel()),
    _aten.mkldnn_rnn_layer: _of_recurrent_layer,
}
"""MACs of operators that torch's counter lacks, as functions of their arguments."""


class Multiplications:
    """MACs of a forward pass.

    Attributes:
        macs: name of the module → MACs without those of its submodules, in the order of the first
            calls; ``""`` is the network itself.
        macs_nonzero: the same without zero weights.
        uncounted: operator → number of its calls that were not counted.
    """

    def __init__(self) -> None:
        self.macs: Counter[str] = Counter()
        self.macs_nonzero: Counter[str] = Counter()
        self.uncounted: Counter[str] = Counter()


def multiplications(model: nn.Module, inputs: Tensor) -> Multiplications:
    """Count the multiply-accumulates of one call of a network.

    Attention, and recurrent layers on a GPU, are computed by unfused operators during the count,
    since fused ones are opaque to torch.

    Args:
        model: in evaluation mode, on the device of the inputs.
        inputs: a batch; all of it is counted.
    """
    found = Multiplications()
    names = {id(module): name for name, module in model.named_modules()}
    calls = [""]

    def enter(module: nn.Module, _: object) -> None:
        calls.append(names.get(id(module), calls[-1]))

    def leave(*_: object) -> None:
        calls.pop()

    counted = _Counted(found, calls)
    counted.mark(tree_leaves([*model.parameters(), *model.buffers()]), _WEIGHT)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(_plain_operators())
        stack.callback(register_module_forward_pre_hook(enter).remove)
        stack.callback(register_module_forward_hook(leave, always_call=True).remove)
        own = inputs.clone()
        counted.mark([own], _INPUT)
        with counted:
            model(own)
    return found


@contextmanager
def _plain_operators() -> Iterator[None]:
    """Disable fused attention and the recurrent layers of cuDNN."""
    was_quick = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(value=was_quick)


class _Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts each operator, and tracks which tensors depend on inputs and which on weights.

    Args:
        found: where the counts go.
        calls: names of the modules that are being called, the innermost last.
    """

    def __init__(self, found: Multiplications, calls: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found, self._calls = found, calls
        self._sources: dict[int, int] = {}
        self._held: list[object] = []

    def mark(self, tensors: Iterable[Any], source: int) -> None:
        """Record what tensors depend on; views share this with their storage."""
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                memory, key = _memory(tensor)
                if key not in self._sources:
                    self._held.append(memory)  # else its address might be reused
                self._sources[key] = self._sources.get(key, 0) | source

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        operator = getattr(func, "_overloadpacket", func)
        is_known = operator in flop_registry or operator in _FORMULAS
        if not is_known and isinstance(func, torch._ops.OpOverload):
            with self:
                made = func.decompose(*args, **given)
            if made is not NotImplemented:
                return made
        made = func(*args, **given)
        if is_known:
            self._count(operator, args, given, made)
        elif not _is_free(func):
            self._found.uncounted[_words(func)] += 1
        source = 0
        for one in tree_leaves((args, given)):
            if isinstance(one, Tensor):
                source |= self._source(one)
        self.mark(tree_leaves(made), source)
        return made

    def _source(self, tensor: Tensor) -> int:
        return self._sources.get(_memory(tensor)[1], 0)

    def _count(self, operator: Any, args: Any, kwargs: dict[str, Any], made: Any) -> None:
        if operator in _FORMULAS:
            macs = _FORMULAS[operator](*args)
        else:
            macs = int(flop_registry[operator](*args, **kwargs, out_val=made)) // 2
        name = self._calls[-1]
        self._found.macs[name] += macs
        self._found.macs_nonzero[name] += macs
        factors = [args[place] for place in _FACTORS.get(operator, ())]
        weights = [factor for factor in factors if self._source(factor) == _WEIGHT]
        is_recurrent = operator is _aten.mkldnn_rnn_layer
        if weights and len(weights) == (2 if is_recurrent else 1):
            # All elements of a weight have equally many multiplications.
            uses = macs // max(1, sum(weight.numel() for weight in weights))
            self._found.macs_nonzero[name] -= uses * sum(map(_zeros, weights))


def _memory(tensor: Tensor) -> tuple[object, int]:
    """The storage of a tensor, and its identity."""
    if tensor.layout is torch.strided:
        storage = tensor.untyped_storage()
        return storage, storage._cdata
    return tensor, id(tensor)


def _zeros(weight: Tensor) -> int:
    alive = int(weight.count_nonzero()) if weight.layout is torch.strided else weight._nnz()
    return weight.numel() - alive


def _is_free(func: Any) -> bool:
    """Whether an operator has no MACs by the usual convention."""
    if not isinstance(func, torch._ops.OpOverload) or func.namespace not in ("aten", "prim"):
        return False
    if func.is_view or torch.Tag.pointwise in func.tags:
        return True
    name = func._schema.name.partition("::")[2].removesuffix("_")
    return name in FREE or name.removeprefix("_") in FREE


def _words(func: Any) -> str:
    return str(getattr(func, "_overloadpacket", func)).removeprefix("aten.")
