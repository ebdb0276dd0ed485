"""scikit-learn's handwritten digits."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from robench.data.assembly import TrainingSubset, assemble
from robench.data.base import Data, Dataset
from robench.data.splits import own_split

__all__ = ["Digits"]

_SIDE_PX = 32
_LEVELS = 16
"""The original's grey values are 0 to 16."""


class Digits(Dataset):
    """1,797 real handwritten digits, 8x8 enlarged to 32x32; comes with robench.

    The test set of UCI's Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998), as
    scikit-learn ships it. Enlarged bilinearly. Split 70:10:20, stratified.
    """

    name = "digits"
    Params = TrainingSubset

    def load(self, _root: Path, /) -> Data:
        """1,258 training, 180 validation and 359 test images, uint8 [N, 1, 32, 32]."""
        from sklearn.datasets import load_digits

        original = load_digits()
        labels = original.target.astype(np.int64)
        return assemble(
            self.name,
            classes=[str(digit) for digit in range(10)],
            inputs=_enlarged(torch.from_numpy(original.images)).numpy(),
            labels=labels,
            splits=own_split(labels, self.name),
            subset=self.params.subset,
        )


def _enlarged(images: torch.Tensor) -> torch.Tensor:
    """uint8 [N, 1, 32, 32] of [N, 8, 8] in 0…16.

    The bilinear weights are multiples of 1/64, so that float64 is exact and every machine rounds
    to the same pixels.
    """
    larger = F.interpolate(images.double().unsqueeze(1), size=(_SIDE_PX, _SIDE_PX), mode="bilinear")
    return larger.mul(255 / _LEVELS).round().to(torch.uint8)
