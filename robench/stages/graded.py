"""What a network answers on graded images, level by level: of degradations and of corruptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from robench.measure.answers import (
    area_under_levels,
    confusion_matrix,
    level_at_half_accuracy,
    response_entropy_bits,
)
from robench.spec import Metric
from robench.training.evaluate import predict

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from robench.models.base import Network

__all__ = ["UNORDERED", "GradedAnswers", "over_levels", "parts_of"]

UNORDERED = ("rotation",)
"""Kinds whose levels have no order in which images get harder: nothing is summed up over them."""
_FEWEST_LEVELS = 4
"""Of a curve that an area or a level at half accuracy is taken from, a clean image's included."""
_MOST_CLASSES = 32
"""Confusion matrices of more classes would outweigh the answers, from which they follow."""


_BATCH = 256
"""What `predict` works on at a time: parts are a multiple, so that they do not change its sums."""
_PART_VALUES = 1 << 24


def parts_of(images: Tensor) -> list[slice]:
    """Images that are worked on together, so that memory does not grow with their number.

    Args:
        images: [N, C, H, W].
    """
    batches = max(1, _PART_VALUES // (_BATCH * images[0].numel()))
    step = batches * _BATCH
    return [slice(start, start + step) for start in range(0, len(images), step)]


@dataclass
class GradedAnswers:
    """Collects the answers of one network, and says what follows from them.

    Args:
        network: in evaluation mode.
        classes: how many there are.
    """

    network: Network
    classes: int
    conditions: list[str] = field(default_factory=list)
    """Kind and level of each row of the arrays."""
    _answers: list[NDArray[np.int16]] = field(default_factory=list)
    _confusions: list[NDArray[np.int64]] = field(default_factory=list)

    def show(
        self, parts: Iterable[Tensor], labels: Tensor, name: str, /, **condition: str | float
    ) -> Iterator[Metric]:
        """Ask the network; gives accuracy and the entropy of its answers.

        Args:
            parts: of the images, float32 in [0, 1] or uint8, [n, C, H, W], made one by one.
            labels: int64 [N].
            name: what the row of answers is called.
            condition: of the metrics.
        """
        each = [predict(self.network, part).argmax(1).cpu() for part in parts]
        answers = torch.cat(each).numpy()
        truth = labels.cpu().numpy()
        self.conditions.append(name)
        self._answers.append(answers.astype(np.int16))
        if self.classes <= _MOST_CLASSES:
            self._confusions.append(confusion_matrix(answers, truth, self.classes))
        count = len(truth)
        yield Metric.share("accuracy", int((answers == truth).sum()), count, **condition)
        bits = response_entropy_bits(answers, self.classes)
        yield Metric(name="response_entropy_bits", value=bits, n=count, condition=condition)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Answers int16 [conditions, N]; of few classes confusion int32 [conditions, C, C]."""
        found: dict[str, NDArray[np.generic]] = {"answers": np.stack(self._answers)}
        if self._confusions:
            found["confusion"] = np.stack(self._confusions).astype(np.int32)
        return found


def over_levels(
    kind: str,
    levels: Sequence[float],
    accuracies: Sequence[float],
    n: int,
    **condition: str | float,
) -> Iterator[Metric]:
    """The area under accuracy over the levels of a kind, and the level at half accuracy.

    Nothing of the kind where there are fewer than four different levels: neither one strength of a
    corruption nor a switch with two positions makes a curve to speak of.

    Args:
        kind: the degradation or corruption.
        levels: from the mildest to the strongest.
        accuracies: one for each.
        n: how many images each rests on.
        condition: of the metrics, beside the kind.
    """
    if kind in UNORDERED or len(set(levels)) < _FEWEST_LEVELS:
        return
    condition = {"kind": kind, **condition}
    area = area_under_levels(accuracies)
    yield Metric(name="accuracy_area", value=area, n=n, condition=condition)
    half = level_at_half_accuracy(levels, accuracies)
    yield Metric(name="level_at_half_accuracy", value=half, n=n, condition=condition)
