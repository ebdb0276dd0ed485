"""CIFAR-100."""

from robench.data.cifar import CifarDataset

__all__ = ["Cifar100"]


class Cifar100(CifarDataset):
    """A hundred kinds of things, 32x32 colour: 500 images each to train on (Krizhevsky 2009)."""

    name = "cifar100"
    reader = "CIFAR100"
