"""LeNet-5 as Caffe has it, which is what the pruning papers mean by the name."""

from pydantic import PositiveInt
from torch import nn

from robench.models.base import Network
from robench.spec.base import Frozen

__all__ = ["LeNet5"]

_KERNEL = 5


class LeNet5(Network):
    """Two 5x5 convolutions of 20 and 50 filters and 500 hidden units, as in Caffe.

    The variant of LeNet-5 (LeCun et al. 1998) that Wen et al. 2016 (arXiv 1608.03665) and others
    prune: max pooling instead of subsampling, and a ReLU after the fully connected layer alone.
    431,080 parameters on MNIST. Takes images of 16x16 pixels and more. Nothing bounds or rectifies
    the convolutions, so that it bears smaller learning rates than the others: Caffe's own is 0.01,
    and 0.05 with momentum 0.9 diverges on MNIST.
    """

    name = "lenet-5"

    class Params(Frozen):
        """Widths of the layers."""

        filters: tuple[PositiveInt, PositiveInt] = (20, 50)
        """Filters of the two convolutions."""
        hidden: PositiveInt = 500
        """Units of the fully connected layer."""

    def layers(self, params: Params, /) -> nn.Sequential:
        """Convolution and pooling twice, then two fully connected layers."""
        channels, height, width = self.image_shape(smallest_px=_side_before(_side_before(1)))
        first, second = params.filters
        features = second * _side_after(_side_after(height)) * _side_after(_side_after(width))
        body = nn.Sequential()
        body.add_module("conv1", nn.Conv2d(channels, first, _KERNEL))
        body.add_module("pool1", nn.MaxPool2d(2))
        body.add_module("conv2", nn.Conv2d(first, second, _KERNEL))
        body.add_module("pool2", nn.MaxPool2d(2))
        body.add_module("flatten", nn.Flatten())
        body.add_module("fc1", nn.Linear(features, params.hidden))
        body.add_module("relu", nn.ReLU())
        body.add_module("fc2", nn.Linear(params.hidden, self.classes))
        return body

    def initialise(self) -> None:
        """Draw initial weights as Caffe does: uniform with variance 1 / fan-in, biases zero.

        The base class's 2 / fan-in makes up for a ReLU after each layer, which is not here.
        """
        for module in self.body:
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="linear")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def _side_after(side_px: int) -> int:
    """Height or width after one convolution and one pooling."""
    return (side_px - _KERNEL + 1) // 2


def _side_before(side_px: int) -> int:
    """The least height or width from which one convolution and one pooling leave `side_px`."""
    return 2 * side_px + _KERNEL - 1
