"""The answers of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from robench.data.base import to_float
from robench.models.layout import quick_layout

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["predict"]


def predict(model: nn.Module, images: Tensor, batch_size: int = 256) -> Tensor:
    """The logits of a network in evaluation mode, in which it is put for the time being.

    In evaluation mode an image's logits do not depend on the others in its batch, but for the
    order in which float32 sums are taken, which matrix libraries choose by shape. Leave
    `batch_size` alone, and that is the same for everybody.

    Args:
        model: takes inputs in [0, 1].
        images: uint8 [N, C, H, W], or float32 in [0, 1] of any shape, on any device.
        batch_size: images at a time.

    Returns:
        float32 [N, classes], on the device of the network.

    Raises:
        InputError: inputs of another type.
    """
    parameter = next(model.parameters(), None)
    device = images.device if parameter is None else parameter.device
    layout = quick_layout(model)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            chunks = torch.split(images, batch_size)
            return torch.cat([model(layout(to_float(chunk.to(device)))) for chunk in chunks])
    finally:
        model.train(was_training)
