"""MNIST."""

from robench.data.idx import IdxDataset

__all__ = ["Mnist"]


class Mnist(IdxDataset):
    """Handwritten digits, 28x28 grey: 60,000 to train on, 10,000 to test (LeCun et al. 1998)."""

    name = "mnist"
    folder = "MNIST"
    classes = tuple(str(digit) for digit in range(10))
