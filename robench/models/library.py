"""Networks of other libraries, behind the same door as robench's own."""

from __future__ import annotations

import bisect
import copy
import itertools
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

import torch
from torch import nn

from robench.errors import NotApplicableError
from robench.models.base import Network

if TYPE_CHECKING:
    from robench.spec.base import Frozen

__all__ = ["LibraryNetwork", "member", "with_channels"]

_REFUSALS = (ArithmeticError, AssertionError, IndexError, RuntimeError, TypeError, ValueError)
"""What the layers of a network raise for images that they cannot take."""

_LARGEST_PX = 512
"""Up to which size a message looks for one that a network can take."""


class LibraryNetwork(Network):
    """A network that another library builds, with the initial weights that it draws.

    Subclasses fill `make` and are given a name by `member`. The network is the only part of the
    body, under the name that the library has for it. Images in [0, 1] are normalised before it.
    """

    architecture: ClassVar[str]
    """The library's own name of the network."""

    def make(self, channels: int, height: int, width: int) -> nn.Module:
        """The library's network, from images [N, channels, height, width] to `self.classes` logits.

        Draws its initial weights from torch's global generator only.
        """
        raise NotImplementedError

    def layers(self, _params: Frozen, /) -> nn.Sequential:
        """The library's network, once it is sure that it takes images of this size."""
        channels, height, width = self.image_shape()
        try:
            network = self.make(channels, height, width)
        except (AssertionError, TypeError, ValueError) as error:
            raise self._refusal(str(error)) from error
        fault = _fault(network, (channels, height, width), self.classes)
        if fault is not None:
            raise self._refusal(fault, _smallest_px(network, channels, self.classes))
        return nn.Sequential(OrderedDict([(self.architecture, network)]))

    def initialise(self) -> None:
        """Keep the weights that the library drew."""

    def _refusal(self, fault: str, smallest_px: int | None = None) -> NotApplicableError:
        _, height, width = self.input_shape
        return NotApplicableError(
            f"{self.name} cannot take images of {height}x{width} pixels: {fault}",
            allowed=f"at least {smallest_px}x{smallest_px} pixels" if smallest_px else None,
            hint="choose a network for images of this size, or larger images",
        )


L = TypeVar("L", bound=LibraryNetwork)


def member(base: type[L], library: str, architecture: str) -> type[L]:
    """The class of one network of a library, named ``library:architecture``."""
    name = f"{library}:{architecture}"
    fields = {
        "name": name,
        "architecture": architecture,
        "__doc__": f"{architecture} as {library} builds it, with random initial weights.",
        "__module__": base.__module__,
    }
    return cast("type[L]", type(name, (base,), fields))


def with_channels(network: nn.Module, channels: int) -> nn.Module:
    """The network with a first convolution for images of so many channels.

    Its weights are drawn anew, normal, so that its outputs are of the size that they had: their
    variance is that of the old weights times old channels / new channels.
    """
    name, old = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    conv = copy.deepcopy(old)
    conv.in_channels = channels
    deviation = old.weight.detach().std() * math.sqrt(old.in_channels / channels)
    drawn = torch.randn(old.out_channels, channels, *old.kernel_size)
    conv.weight = nn.Parameter(drawn * deviation)
    network.set_submodule(name, conv)
    return network


def _fault(network: nn.Module, shape: tuple[int, int, int], classes: int) -> str | None:
    """Why a network cannot take images of this shape, or `None`; shapes alone are worked out."""
    tensors = itertools.chain(network.named_parameters(), network.named_buffers())
    shapes = {name: tensor.to("meta") for name, tensor in tensors}
    was_training = network.training
    network.eval()
    try:
        with torch.device("meta"), torch.no_grad():
            logits = torch.func.functional_call(network, shapes, (torch.empty(1, *shape),))
    except _REFUSALS as error:
        return str(error)
    finally:
        network.train(was_training)
    if getattr(logits, "shape", None) != (1, classes):
        return f"it does not return logits of shape (1, {classes})"
    return None


def _smallest_px(network: nn.Module, channels: int, classes: int) -> int | None:
    """Side of the smallest square image that a network takes, if one does."""
    sides = range(1, _LARGEST_PX + 1)

    def fits(side: int) -> bool:
        return _fault(network, (channels, side, side), classes) is None

    place = bisect.bisect_left(sides, True, key=fits)
    return sides[place] if place < len(sides) else None
