"""The small networks that methods are tried on, each with something that methods trip over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from robench.models.base import Network
from robench.models.convnet import ConvNet
from robench.models.mlp import MLP

if TYPE_CHECKING:
    from pydantic import BaseModel

    from robench.data.base import Data

__all__ = ["NETWORKS", "build"]


class _Partial(Network):
    """Three linear layers, the last of which is not offered for pruning."""

    name = "partial"

    def layers(self, _params: BaseModel, /) -> nn.Sequential:
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(self.input_shape), 24),
            nn.ReLU(),
            nn.Linear(24, 16),
            nn.ReLU(),
            nn.Linear(16, self.classes),
        )

    def prunable(self) -> dict[str, nn.Parameter]:
        weights = super().prunable()
        del weights["body.5.weight"]
        return weights


class _Grouped(Network):
    """A grouped convolution, whose filters do not read all channels."""

    name = "grouped"

    def layers(self, _params: BaseModel, /) -> nn.Sequential:
        channels, _, _ = self.image_shape()
        return nn.Sequential(
            nn.Conv2d(channels, 8, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, kernel_size=3, padding=1, groups=4, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(64, self.classes),
        )


class _Branch(nn.Module):
    """x + f(x), so that what one layer writes two others read."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.norm(self.conv(x)).relu()
        return added


class _Residual(Network):
    """A convolution, a residual branch, a linear layer: not a chain."""

    name = "residual"

    def layers(self, _params: BaseModel, /) -> nn.Sequential:
        channels, _, _ = self.image_shape()
        return nn.Sequential(
            nn.Conv2d(channels, 8, kernel_size=3, padding=1),
            nn.ReLU(),
            _Branch(8),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, self.classes),
        )


NETWORKS: dict[str, tuple[type[Network], dict[str, object]]] = {
    "mlp": (MLP, {"widths": (24, 16)}),
    "convnet": (ConvNet, {"widths": (6, 8)}),
    "partial": (_Partial, {}),
    "grouped": (_Grouped, {}),
    "residual": (_Residual, {}),
}
"""Fully connected; convolutions with BatchNorm; a layer that is not prunable; grouped; residual."""


def build(name: str, data: Data) -> Network:
    """A network for the data. The caller seeds torch's global generator, which it draws from."""
    kind, params = NETWORKS[name]
    return kind(
        input_shape=data.input_shape,
        classes=data.outputs,
        mean=data.mean,
        std=data.std,
        params=params,
    )
