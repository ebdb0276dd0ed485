"""What optimising attacks descend: functions of the logits that end at the boundary."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["difference_of_logits_ratio", "likeliest_others", "log_odds", "logit_margin"]

_LOGIT_RANGE = 20.0
"""Spread of the logits of a clean image, largest minus smallest, that the log-odds see."""


def logit_margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Logit of a class minus the largest other one, [m]; positive while that class is the answer.

    Args:
        logits: [m, classes].
        classes: int64 [m].
    """
    column = classes[:, None]
    return logits.gather(1, column)[:, 0] - logits.scatter(1, column, -torch.inf).amax(dim=1)


def difference_of_logits_ratio(
    logits: Tensor, classes: Tensor, clean: Tensor, *, targeted: bool = False
) -> Tensor:
    """DLR: the margin of a class, whatever the scale of the logits, [m].

    Croce, Hein 2020 (arXiv 2003.01690), with the opposite sign: it is positive while the class is
    the answer. The margin is divided by how far the largest logit is above the third, and for a
    target above the mean of the third and the fourth, without which it would be stuck where the
    target is third. Where a model has too few classes for that, the denominator is the span of the
    logits of the clean image, which frees it from the scale as well.

    Args:
        logits: [m, classes].
        classes: int64 [m].
        clean: logits of the images before the attack, [m, classes].
        targeted: whether `classes` are to be reached rather than left.
    """
    places = 4 if targeted else 3
    if logits.shape[1] < places:
        spread = clean.amax(dim=1) - clean.amin(dim=1)
    else:
        top = logits.topk(places, dim=1).values
        spread = top[:, 0] - top[:, 2:].mean(dim=1)
    return logit_margin(logits, classes) / spread.clamp_min(torch.finfo(spread.dtype).tiny)


def log_odds(logits: Tensor, classes: Tensor, clean: Tensor) -> Tensor:
    """Log-odds of a class against all others, whatever the scale of the logits, [m].

    The cross-entropy is the softplus of minus these: its gradient has the same direction, but
    vanishes where the softmax saturates. Logits are scaled so that those of the clean image span a
    fixed range: neither confidence nor temperature of the network changes the direction.

    Args:
        logits: [m, classes].
        classes: int64 [m].
        clean: logits of the images before the attack, [m, classes].
    """
    span = clean.amax(dim=1, keepdim=True) - clean.amin(dim=1, keepdim=True)
    scaled = logits * torch.where(span > 0, _LOGIT_RANGE / span, 1.0)
    column = classes[:, None]
    others = scaled.scatter(1, column, -torch.inf)
    return scaled.gather(1, column)[:, 0] - others.logsumexp(dim=1)


def likeliest_others(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """The classes with the largest logits, other than the label, int64 [m, count].

    Args:
        logits: [m, classes].
        labels: int64 [m].
        count: how many, at most classes - 1.
    """
    return logits.scatter(1, labels[:, None], -torch.inf).topk(count, dim=1).indices
