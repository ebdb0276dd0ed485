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
        "gradual-magnitude": "robench.methods.gradual_magnitude:GradualMagnitude",
        "halo": "robench.methods.halo:Halo",
        "l1": "robench.methods.l1:L1",
        "layer-shuffle": "robench.methods.layer_shuffle:LayerShuffle",
        "magnitude": "robench.methods.magnitude:Magnitude",
        "network-surgery": "robench.methods.network_surgery:NetworkSurgery",
        "noiseout": "robench.methods.noiseout.method:NoiseOut",
        "random": "robench.methods.random:Random",
        "rigl": "robench.methods.rigl:RigL",
        "rln": "robench.methods.rln:RegularizationLearning",
        "small-dense": "robench.methods.small_dense:SmallDense",
        "ssl": "robench.methods.ssl:StructuredSparsity",
    },
    accept="robench.methods.base:check_plugin",
)
"""Every method by name."""

__getattr__ = lazily(
    __name__,
    dict.fromkeys(("Method", "TrainState", "make"), "robench.methods.base"),
)
