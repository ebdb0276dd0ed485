"""LeNet-300-100."""

import math

from torch import nn

from robench.models.base import Network
from robench.models.mlp import fully_connected
from robench.spec.base import Frozen

__all__ = ["LeNet300100"]


class LeNet300100(Network):
    """Fully connected with 300 and 100 hidden units, ReLU (LeCun et al. 1998).

    266,610 parameters on MNIST, of which 266,200 are prunable. The original's sigmoids are ReLUs
    here, as in the pruning literature that uses this network.
    """

    name = "lenet-300-100"

    def layers(self, _params: Frozen, /) -> nn.Sequential:
        """Linear and ReLU in turn, then the linear classifier."""
        return fully_connected(math.prod(self.input_shape), (300, 100), self.classes)
