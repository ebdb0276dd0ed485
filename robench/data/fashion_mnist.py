"""Fashion-MNIST."""

from robench.data.idx import IdxDataset

__all__ = ["FashionMnist"]


class FashionMnist(IdxDataset):
    """Pieces of clothing, 28x28 grey, in MNIST's form (Xiao et al. 2017, arXiv 1708.07747)."""

    name = "fashion-mnist"
    folder = "FashionMNIST"
    classes = (
        "t-shirt",
        "trousers",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )
