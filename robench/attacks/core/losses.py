"""Losses of attacks: functions of the logits whose sign tells whether a point is adversarial."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["difference_of_logits_ratio", "likeliest_others", "log_odds", "logit_margin"]

_LOGIT_RANGE = 20.0
"""Span (largest minus smallest logit) to which the log-odds scale the logits of a clean image."""


def logit_margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Logit of a class minus the largest other logit, [m]; positive while the class is predicted.

    Args:
        logits: [m, classes].
        classes: int64 [m].
    """
    column = classes[:, None]
    return logits.gather(1, column)[:, 0] - logits.scatter(1, column, -torch.inf).amax(dim=1)


def difference_of_logits_ratio(
    logits: Tensor, classes: Tensor, clean: Tensor, *, targeted: bool = False
) -> Tensor:
    """DLR: the margin of a class, independent of the scale of the logits, [m].

    Croce, Hein 2020 (arXiv 2003.01690), with the opposite sign: positive while the class is
    predicted. Untargeted, the margin is divided by the difference of the largest and the third
    largest logit; targeted, by that of the largest logit and the mean of the third and the fourth.
    With the third alone, the targeted loss would be constant where the target is third. If the
    model has too few classes, the denominator is the span of the clean image's logits.

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
    """Log-odds of a class against all others, independent of the scale of the logits, [m].

    The cross-entropy is softplus(-log_odds). Its gradient has the same direction but vanishes where
    the softmax saturates, which masks gradients. The logits are scaled so that those of the clean
    image span a fixed range: the temperature of the network does not change the direction.

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
