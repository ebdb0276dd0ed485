"""Which module of torch a module is, subclasses that compute what their base computes included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Weighted", "torch_type"]

Weighted = (
    nn.Conv1d
    | nn.Conv2d
    | nn.Conv3d
    | nn.ConvTranspose1d
    | nn.ConvTranspose2d
    | nn.ConvTranspose3d
    | nn.Linear
)
"""Layers that have units and a weight."""

_AT_EVERY_CALL = {
    "__call__", "__getattr__", "__getattribute__", "_call_impl", "forward",
    "bias", "running_mean", "running_var", "weight",
}  # fmt: skip
"""Names that a call of a module uses, whichever module it is."""
_AT_NO_CALL = {
    "__annotations__", "__constants__", "__dict__", "__doc__", "__init__", "__module__",
    "__setstate__", "__static_attributes__", "__firstlineno__", "__weakref__",
    "_load_from_state_dict", "extra_repr", "reset_parameters", "reset_running_stats",
}  # fmt: skip
"""Names of torch's modules that no call of them uses."""


def torch_type(module: nn.Module | None) -> type[nn.Module] | None:
    """The class of ``torch.nn`` that computes what this module computes.

    That is its own class, or the nearest base in ``torch.nn`` as long as no class below it, nor the
    module itself, overrides :meth:`forward` or anything that the base's `forward` may call.

    Returns:
        `None` if what the module computes is not known.
    """
    if module is None or "forward" in vars(module):
        return None
    own: set[str] = set()
    for kind in type(module).__mro__:
        if _is_of_torch(kind):
            is_known = issubclass(kind, nn.Module) and kind is not nn.Module
            return kind if is_known and own.isdisjoint(_used_by_calls(kind)) else None
        own.update(vars(kind))
    return None


def _is_of_torch(kind: type) -> bool:
    return f"{kind.__module__}.".startswith("torch.nn.")


def _used_by_calls(kind: type) -> set[str]:
    """Names whose override in a subclass of `kind` may change what a call gives."""
    return _AT_EVERY_CALL | (set(_names(kind)) - _AT_NO_CALL)


def _names(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        if _is_of_torch(base) and base is not nn.Module:
            yield from vars(base)
