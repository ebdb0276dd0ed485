"""The classification networks of torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from robench._torchvision import import_torchvision
from robench.errors import NotApplicableError, UnknownNameError
from robench.models.library import LibraryNetwork, member, with_channels

if TYPE_CHECKING:
    from torch import nn

    from robench.models.base import Network

__all__ = ["TorchvisionNetwork", "family"]

_CHANNELS = 3

# Auxiliary classifiers would make training return several logits. Both classes warn where they are
# not told whether to draw their own initial weights.
_WITHOUT_AUXILIARIES = {"aux_logits": False, "init_weights": True}


class TorchvisionNetwork(LibraryNetwork):
    """A classification network of torchvision, with the initial weights that torchvision draws.

    Auxiliary classifiers (googlenet, inception_v3) are left out. Images of another number of
    channels than three get a first convolution of their own. Vision transformers are built for the
    size of the images. Prunable are all Conv2d and Linear weights; the projections of queries, keys
    and values in torchvision's vision transformers (``vit_*``) are neither and stay dense.
    """

    def make(self, channels: int, height: int, width: int) -> nn.Module:
        """The network as ``torchvision.models`` builds it, without pretrained weights."""
        models = import_torchvision().models
        options = self._options(height, width)
        network = cast(
            "nn.Module",
            models.get_model(self.architecture, weights=None, num_classes=self.classes, **options),
        )
        return network if channels == _CHANNELS else with_channels(network, channels)

    def _options(self, height: int, width: int) -> dict[str, Any]:
        if self.architecture in ("googlenet", "inception_v3"):
            return _WITHOUT_AUXILIARIES
        if self.architecture.startswith("maxvit"):
            return {"input_size": (height, width)}
        if self.architecture.startswith("vit"):
            if height != width:
                raise NotApplicableError(
                    f"{self.name} cannot take images of {height}x{width} pixels",
                    allowed="square images",
                )
            return {"image_size": height}
        return {}


def family(name: str, *, where: str | None = None) -> type[Network]:
    """Any classification network of torchvision, such as resnet18, from random initial weights.

    Args:
        name: torchvision's name of it.
        where: file and line of the text that asked, for the message.

    Raises:
        UnknownNameError: torchvision has no such network.
    """
    models = import_torchvision().models
    known = models.list_models(module=models)
    if name not in known:
        raise UnknownNameError("network of torchvision", name, known, where=where)
    return member(TorchvisionNetwork, "torchvision", name)
