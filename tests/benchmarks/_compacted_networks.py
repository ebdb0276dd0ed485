"""The networks of the benchmarks of compaction, and zeros for them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from robench.models import build

BATCH = 32
SHARES = (0.5, 0.75)
HALF = (32, 32, "M", 64, 64, "M", 128, 128, "M")


def lenet_5() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


def of_colour_images(name: str, **params: object) -> nn.Module:
    channels = [0.5] * 3
    return build(
        name, input_shape=(3, 32, 32), classes=10, mean=channels, std=channels, params=params
    ).eval()


def examples() -> dict[str, tuple[nn.Module, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    colour = torch.rand(BATCH, 3, 32, 32, generator=generator)
    return {
        "LeNet-5": (lenet_5().eval(), torch.rand(BATCH, 1, 28, 28, generator=generator)),
        "VGG-small": (of_colour_images("vgg-small"), colour),
        "half VGG-small": (of_colour_images("vgg-small", widths=HALF), colour),
        "ResNet-20": (of_colour_images("resnet20"), colour),
    }


def remove(model: nn.Module, share: float, *, alone: bool = False) -> nn.Module:
    """Zero the weights, biases and BatchNorm of a share of the units, but those of the logits.

    One of so many stays, so that what a residual sum ties together has the same places. `alone`
    leaves the BatchNorms as they are.
    """
    model = copy.deepcopy(model)
    layers = [part for part in model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        for part in (*layers[:-1], *([] if alone else norms)):
            every = round(1 / (1 - share))
            gone = (torch.arange(len(part.weight)) + 1) % every != 0
            part.weight[gone] = 0
            if part.bias is not None:
                part.bias[gone] = 0
    return model


def settled(model: nn.Module, images: Tensor) -> nn.Module:
    """A copy whose BatchNorms shift and scale as after training."""
    model = copy.deepcopy(model).train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.bias.normal_(0, 0.3, generator=generator)
        for _ in range(5):
            model(images)
    return model.eval()
