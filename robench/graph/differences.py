"""Differences between the outputs of two networks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Differences"]


@dataclass(frozen=True)
class Differences:
    """Differences of logits and input gradients, over the given and over random inputs.

    Attributes:
        logits_float64: largest absolute difference of a logit, in double precision.
        logits_float32: the same in single precision.
        gradients_float64: largest absolute difference of an input gradient, relative to the
            largest gradient, in double precision.
        gradients_float32: in single precision, the median over samples of the relative l2
            difference of the input gradients. The median, because rounding moves the few samples
            in which a ReLU or a max-pooling window is at its kink.
    """

    logits_float64: float
    logits_float32: float
    gradients_float64: float
    gradients_float32: float
