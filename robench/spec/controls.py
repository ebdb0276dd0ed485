"""What a method is to a comparison: a control, the dense network, a network from elsewhere.

Every line that treats one of these differently asks here; none compares names.
"""

from __future__ import annotations

from typing import Literal, Protocol

__all__ = [
    "CONTROLS",
    "DENSE",
    "GIVEN",
    "MethodIdentity",
    "is_dense",
    "is_given",
    "starts_from_dense",
]

DENSE = "dense"
"""The method that removes nothing: the control that every other one is compared with."""

CONTROLS = (DENSE, "random", "magnitude")
"""Methods that run in every suite at the same budget, whether it names them or not."""

GIVEN = "given"
"""Stands for the method of a network that robench did not train: its weights lie in a file."""


def is_dense(name: str) -> bool:
    """Whether the method of this name is the dense control."""
    return name == DENSE


def is_given(name: object) -> bool:
    """Whether this name stands for a network that robench did not train."""
    return name == GIVEN


class _Starts(Protocol):
    @property
    def starts_from(self) -> Literal["init", "dense"]: ...


def starts_from_dense(method: _Starts) -> bool:
    """Whether a run of this method begins with the weights of the shared dense network."""
    return method.starts_from == DENSE


class MethodIdentity:
    """What follows from the name of a method.

    Attributes:
        name: of the plug-in.
    """

    name: str

    @property
    def is_dense(self) -> bool:
        """Whether it removes nothing."""
        return is_dense(self.name)

    @property
    def is_given(self) -> bool:
        """Whether it stands for a network that robench did not train: one, of no grid."""
        return is_given(self.name)

    @property
    def is_control(self) -> bool:
        """Whether it runs in every suite."""
        return self.name in CONTROLS

    @property
    def is_graded(self) -> bool:
        """Whether it is asked for levels; other networks stand beside each level."""
        return not (self.is_dense or self.is_given)
