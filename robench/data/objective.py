"""What training minimises, by what the labels are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["objective"]


def objective(outputs: Tensor, labels: Tensor) -> Tensor:
    """The mean loss of a batch, a scalar: cross-entropy, or the squared error of a regression.

    Args:
        outputs: [N, classes] logits, or [N, 1] standardised predictions of a regression.
        labels: int64 [N] classes, or float32 [N] standardised targets.
    """
    if labels.is_floating_point():
        return F.mse_loss(outputs.squeeze(1), labels)
    return F.cross_entropy(outputs, labels)
