"""CIFAR-10."""

from robench.data.cifar import CifarDataset

__all__ = ["Cifar10"]


class Cifar10(CifarDataset):
    """Ten kinds of things, 32x32 colour: 50,000 to train on, 10,000 to test (Krizhevsky 2009)."""

    name = "cifar10"
    reader = "CIFAR10"
