"""The control: the same network, the same budget, nothing removed."""

from __future__ import annotations

from robench.methods.base import Method

__all__ = ["Dense"]


class Dense(Method):
    """Nothing is removed: the control that all other methods are compared with."""

    name = "dense"
    starts_from = "dense"
