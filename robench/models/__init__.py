"""Networks: small image and tabular classifiers that take inputs in [0, 1] and return logits.

A model is one class in one file, see `robench.models.base.Network`. Networks are built by name:

    network = robench.models.build(
        "lenet-5", input_shape=(1, 28, 28), classes=10, mean=(0.13,), std=(0.31,), seed=0
    )

Nothing here imports torch until it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily
from robench.registry import Registry

if TYPE_CHECKING:
    from robench.models.base import Network, Normalise, build, prunable

__all__ = ["MODELS", "Network", "Normalise", "build", "prunable"]

MODELS: Registry[type[Network]] = Registry(
    "model",
    group="robench.models",
    builtins={
        "convnet": "robench.models.convnet:ConvNet",
        "lenet-300-100": "robench.models.lenet_300_100:LeNet300100",
        "lenet-5": "robench.models.lenet_5:LeNet5",
        "mlp": "robench.models.mlp:MLP",
    },
    accept="robench.models.base:check_plugin",
)
"""Every model by name."""

__getattr__ = lazily(
    __name__,
    dict.fromkeys(("Network", "Normalise", "build", "prunable"), "robench.models.base"),
)
