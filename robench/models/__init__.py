"""Networks: small image and tabular classifiers that take inputs in [0, 1] and return logits.

A model is one class in one file, see `robench.models.base.Network`. Networks are built by name:

    network = robench.models.build(
        "lenet-5", input_shape=(1, 28, 28), classes=10, mean=(0.13,), std=(0.31,), seed=0
    )

A prefix opens the networks of another library: ``torchvision:resnet18``, ``timm:resnet18``.

Nothing here imports torch until it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily
from robench.registry import Family, Registry

if TYPE_CHECKING:
    from robench.models.base import Network, Normalise, build, prunable

__all__ = ["MODELS", "Network", "Normalise", "build", "prunable"]

MODELS: Registry[type[Network]] = Registry(
    "model",
    group="robench.models",
    builtins={
        "alexnet": "robench.models.alexnet:AlexNet",
        "convnet": "robench.models.convnet:ConvNet",
        "geometric-mlp": "robench.models.geometric_mlp:GeometricMLP",
        "lenet-300-100": "robench.models.lenet_300_100:LeNet300100",
        "lenet-5": "robench.models.lenet_5:LeNet5",
        "mlp": "robench.models.mlp:MLP",
        "resnet": "robench.models.resnet:ResNet",
        "resnet20": "robench.models.resnet:ResNet20",
        "resnet32": "robench.models.resnet:ResNet32",
        "vgg-small": "robench.models.vgg_small:VGGSmall",
    },
    accept="robench.models.base:check_plugin",
    families={
        "timm": Family("robench.models.timm:family", "robench.models.library_names:timm"),
        "torchvision": Family(
            "robench.models.torchvision:family", "robench.models.library_names:torchvision"
        ),
    },
)
"""Every model by name; a prefix opens the models of another library: ``torchvision:resnet18``."""

__getattr__ = lazily(
    __name__,
    dict.fromkeys(("Network", "Normalise", "build", "prunable"), "robench.models.base"),
)
