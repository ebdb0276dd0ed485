"""The networks of timm, which is an extra: ``pip install 'robench[timm]'``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from robench._torchvision import import_torchvision
from robench.errors import PluginError, UnknownNameError
from robench.models.library import LibraryNetwork, member

if TYPE_CHECKING:
    from types import ModuleType

    from torch import nn

    from robench.models.base import Network

__all__ = ["TimmNetwork", "family"]


class TimmNetwork(LibraryNetwork):
    """A network of timm, with the initial weights that timm draws.

    It is built for the channels and, where timm lets it, the size of the images. Prunable are all
    Conv2d and Linear weights.
    """

    def make(self, channels: int, height: int, width: int) -> nn.Module:
        """The network as ``timm.create_model`` builds it, without pretrained weights."""
        options = {"pretrained": False, "num_classes": self.classes, "in_chans": channels}
        create = _timm(None).create_model
        try:
            network = create(self.architecture, img_size=(height, width), **options)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            # Convolutional networks take images of any size, and are not told of it.
            network = create(self.architecture, **options)
        return cast("nn.Module", network)


def family(name: str, *, where: str | None = None) -> type[Network]:
    """Any network of timm, from random initial weights; needs pip install 'robench[timm]'.

    Args:
        name: timm's name of the architecture, without the tag that names pretrained weights.
        where: file and line of the text that asked, for the message.

    Raises:
        PluginError: timm is not installed.
        UnknownNameError: timm has no such network.
    """
    known = _timm(where).list_models()
    if name not in known:
        raise UnknownNameError("network of timm", name, known, where=where)
    return member(TimmNetwork, "timm", name)


def _timm(where: str | None) -> ModuleType:
    import_torchvision()  # which timm imports, and which may need mending first
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise PluginError(
            f"the networks of timm cannot be had: {error}",
            where=where,
            hint="pip install 'robench[timm]'",
        ) from error
