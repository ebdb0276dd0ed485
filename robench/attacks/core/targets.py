"""Targets of a search: leave the true class (untargeted), or reach a given class (targeted)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from robench.attacks.core.losses import difference_of_logits_ratio, likeliest_others, logit_margin
from robench.attacks.core.oracle import Oracle

__all__ = ["Targets"]


@dataclass(frozen=True, eq=False)
class Targets:
    """The target of each of m points.

    Attributes:
        rows: the image that each point belongs to, int64 [m].
        classes: the class to leave (untargeted) or to reach (targeted), int64 [m].
        clean: logits of its image, [m, classes].
        is_targeted: whether `classes` are to be reached.
    """

    rows: Tensor
    classes: Tensor
    clean: Tensor
    is_targeted: bool

    @classmethod
    def of(cls, oracle: Oracle, targets: int) -> Targets:
        """One untargeted point per image, or one point for each of its likeliest other classes.

        Args:
            oracle: holds the images.
            targets: number of target classes per image, at most classes - 1; 0 is untargeted.
        """
        count = min(targets, oracle.classes - 1)
        if not count:
            return cls(oracle.rows, oracle.labels, oracle.logits, is_targeted=False)
        rows = oracle.rows.repeat_interleave(count)
        classes = likeliest_others(oracle.logits, oracle.labels, count).flatten()
        return cls(rows, classes, oracle.logits[rows], is_targeted=True)

    def select(self, wanted: Tensor) -> Targets:
        """The targets of some of the points: bool [m], or their places."""
        return replace(
            self, rows=self.rows[wanted], classes=self.classes[wanted], clean=self.clean[wanted]
        )

    def margin(self, logits: Tensor) -> Tensor:
        """Logit margin to the target, [m]; negative where the target is reached."""
        margin = logit_margin(logits, self.classes)
        return -margin if self.is_targeted else margin

    def ratio(self, logits: Tensor) -> Tensor:
        """The same, independent of the logits' scale: the difference-of-logits ratio (DLR), [m]."""
        ratio = difference_of_logits_ratio(
            logits, self.classes, self.clean, targeted=self.is_targeted
        )
        return -ratio if self.is_targeted else ratio
