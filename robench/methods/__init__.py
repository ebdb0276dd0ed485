"""Methods: ways to make a network sparse, one file each.

A method is one class, see `robench.methods.base.Method`; it is made for one run by
`robench.methods.base.make` and called by the training loop. Nothing here imports torch until it
is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily
from robench.registry import Registry

if TYPE_CHECKING:
    from robench.methods.base import Method, TrainState, make

__all__ = ["METHODS", "Method", "TrainState", "make"]

METHODS: Registry[type[Method]] = Registry(
    "method",
    group="robench.methods",
    builtins={
        "dense": "robench.methods.dense:Dense",
        "halo": "robench.methods.halo:Halo",
        "magnitude": "robench.methods.magnitude:Magnitude",
        "random": "robench.methods.random:Random",
        "ssl": "robench.methods.ssl:StructuredSparsity",
    },
    accept="robench.methods.base:check_plugin",
)
"""Every method by name."""

__getattr__ = lazily(
    __name__,
    dict.fromkeys(("Method", "TrainState", "make"), "robench.methods.base"),
)
