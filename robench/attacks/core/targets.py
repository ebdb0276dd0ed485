"""What each point of a search is after: to leave its own class, or to reach a likely other one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from robench.attacks.core.losses import difference_of_logits_ratio, likeliest_others, logit_margin
from robench.attacks.core.oracle import Oracle

__all__ = ["Targets"]


@dataclass(frozen=True, eq=False)
class Targets:
    """One aim for each of m points.

    Attributes:
        rows: the image that each point belongs to, int64 [m].
        classes: what it leaves or reaches, int64 [m].
        clean: logits of its image, [m, classes].
        is_targeted: whether the classes are to be reached.
    """

    rows: Tensor
    classes: Tensor
    clean: Tensor
    is_targeted: bool

    @classmethod
    def of(cls, oracle: Oracle, targets: int) -> Targets:
        """One point an image that leaves its class, or one for each of its likeliest other classes.

        Args:
            oracle: knows the images.
            targets: 0, or how many other classes, if there are as many.
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
        """How far the logits are from what each point is after, [m]; negative when there."""
        margin = logit_margin(logits, self.classes)
        return -margin if self.is_targeted else margin

    def ratio(self, logits: Tensor) -> Tensor:
        """The same, whatever the scale of the logits: the difference-of-logits ratio, [m]."""
        ratio = difference_of_logits_ratio(
            logits, self.classes, self.clean, targeted=self.is_targeted
        )
        return -ratio if self.is_targeted else ratio
