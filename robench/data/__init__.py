"""Data sets: embedded, downloadable and the user's own, all with fixed splits and a content hash.

A data set is one class in one file, see `robench.data.base.Dataset`. Data is loaded by name:

    data = robench.data.load("mnist", {"subset": 5000}, root="~/data")

Nothing here imports torch until it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily
from robench.registry import Registry

if TYPE_CHECKING:
    from robench.data.base import Data, Dataset, Split, to_float
    from robench.data.loading import load

__all__ = ["DATASETS", "Data", "Dataset", "Split", "load", "to_float"]

DATASETS: Registry[type[Dataset]] = Registry(
    "data set",
    group="robench.datasets",
    builtins={
        "16-class-imagenet": "robench.data.sixteen_class_imagenet:SixteenClassImageNet",
        "breast-cancer": "robench.data.breast_cancer:BreastCancer",
        "cifar10": "robench.data.cifar10:Cifar10",
        "cifar100": "robench.data.cifar100:Cifar100",
        "digits": "robench.data.digits:Digits",
        "fashion-mnist": "robench.data.fashion_mnist:FashionMnist",
        "friedman1": "robench.data.friedman1:Friedman1",
        "image-folder": "robench.data.image_folder:ImageFolder",
        "mnist": "robench.data.mnist:Mnist",
    },
    accept="robench.data.base:check_plugin",
    families={"csv": "robench.data.table:family"},
)
"""Every data set by name."""

__getattr__ = lazily(
    __name__,
    {
        "Data": "robench.data.base",
        "Dataset": "robench.data.base",
        "Split": "robench.data.base",
        "load": "robench.data.loading",
        "to_float": "robench.data.base",
    },
)
