"""The one interface to compiled convolution kernels (:mod:`robench.deploy.kernels`).

Nothing else imports that folder. Where kernels are off, or the folder was deleted, the functions
here say that there is no kernel, and torch computes.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor, nn

__all__ = ["SWITCH", "Kernel", "has_kernel", "is_enabled", "kernel_for", "why_off"]

SWITCH = "ROBENCH_KERNELS"
"""Environment variable; the value ``off`` turns kernels off. It is read when a kernel is built."""

_FOLDER = "robench.deploy.kernels"


class Kernel(Protocol):
    """A compiled convolution with the operations that are fused into it."""

    @property
    def layer(self) -> nn.Module:
        """The layer whose weights are read."""
        ...

    @property
    def layouts(self) -> list[Any]:
        """Memory layout and loop structure of each group, for benchmarks."""
        ...

    def __call__(self, images: Tensor, added: Tensor | None = None) -> Tensor | None:
        """Compute the layer.

        Args:
            images: [N, C, H, W], of the size that the kernel was compiled for.
            added: [N, filters, H', W'], summed with the outputs, if the kernel fuses a sum.

        Returns:
            [N, filters, H', W']; ``None`` if a tensor or weight is not plain float32 memory (needs
            a gradient, lies on another device, was parametrised, …): torch must compute then.
        """
        ...


def why_off() -> str | None:
    """Reason that no kernels are compiled in this process, or ``None`` if they are."""
    if os.environ.get(SWITCH) == "off":
        return f"turned off by {SWITCH}=off"
    kernels = _kernels()
    if kernels is None:
        return "this copy of robench comes without them"
    return cast("str | None", kernels.why_off())


def is_enabled() -> bool:
    """Whether kernels are part of this installation and not turned off by :data:`SWITCH`."""
    return os.environ.get(SWITCH) != "off" and _kernels() is not None


def has_kernel(conv: nn.Conv2d, example: Tensor) -> bool:
    """Whether a kernel can compute a convolution of such inputs here; nothing is compiled.

    Args:
        conv: a plain convolution.
        example: [N, C, H, W], as the layer reads them.
    """
    kernels = _kernels()
    return kernels is not None and why_off() is None and bool(kernels.supports(conv, example))


def kernel_for(
    layer: nn.Module,
    example: Tensor,
    *,
    added: bool = False,
    rectified: bool = False,
    pooled: bool = False,
) -> Kernel | None:
    """Compile a kernel, in some tens of milliseconds; kernels of one shape are compiled once.

    Args:
        layer: ``Conv2d``, ``GatheredConv2d`` or ``ScatteredConv2d``. Its weights are read at each
            call, so that they may change in place.
        example: [N, C, H, W], as the layer reads them; only the shape matters.
        added: fuse a sum with a second input; not together with `pooled`.
        rectified: fuse a ReLU.
        pooled: fuse max pooling of 2 x 2 with stride 2, which rounds down.

    Returns:
        The kernel, or ``None`` if kernels are off or the layer is of another class.
    """
    kernels = _kernels()
    if kernels is None or why_off() is not None:
        return None
    found = kernels.kernel_for(layer, example, added=added, rectified=rectified, pooled=pooled)
    return cast("Kernel | None", found)


@lru_cache(maxsize=1)
def _kernels() -> ModuleType | None:
    """The folder's entry, imported by name: type checkers need no more of it than this module."""
    try:
        return import_module(f"{_FOLDER}.calls")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith(_FOLDER):
            return None
        raise
