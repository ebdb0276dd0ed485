"""Small networks that tests of several rooms share."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ConstantLogits", "Net", "ThresholdLogits", "linear_layers", "randomised"]


class ConstantLogits(nn.Module):
    """The same three logits for every input, class 1 the largest; there is no gradient."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([0.0, 2.0, 1.0]).expand(len(images), 3)


class ThresholdLogits(nn.Module):
    """Logit i is 1 where input i is above 0.5, and 0 elsewhere; there is no gradient.

    Inputs [N, F] with F ≥ 3 → logits [N, 3].
    """

    def forward(self, images: Tensor) -> Tensor:
        return (images[:, :3] > 0.5).float()


class Net(nn.Module):
    """Layers by name, and a forward pass given as a function of the module and the input."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **parts: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, images: Tensor) -> Any:
        return self._forward(self, images)


def randomised(model: nn.Module) -> None:
    """Fill parameters and buffers, always alike: from −0.4 to 0.6, variances from 0.5 to 1.5."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if value.is_floating_point():
                drawn = torch.rand(value.shape, generator=generator)
                value.copy_(drawn + 0.5 if "running_var" in name else drawn - 0.4)


def linear_layers(*widths: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of these widths with an activation between them, always of the same weights.

    The layers are named 0, 2, 4, …; the first width is the number of inputs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1]).eval()
