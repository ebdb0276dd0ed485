"""Breast Cancer Wisconsin (Diagnostic)."""

from pathlib import Path

import numpy as np

from robench.data.assembly import TrainingSubset, assemble, scaled_to_unit
from robench.data.base import Data, Dataset
from robench.data.splits import own_split

__all__ = ["BreastCancer"]


class BreastCancer(Dataset):
    """569 tumours in 30 measurements, malignant or benign; tabular; comes with robench.

    Breast Cancer Wisconsin (Diagnostic) (Street et al. 1993), as scikit-learn ships it. Features
    are scaled to [0, 1] by the minimum and maximum of the training split, and clipped. Split
    70:10:20, stratified.
    """

    name = "breast-cancer"
    Params = TrainingSubset

    def load(self, _root: Path, /) -> Data:
        """398 training, 57 validation and 114 test rows, float32 [N, 30]."""
        from sklearn.datasets import load_breast_cancer

        original = load_breast_cancer()
        labels = original.target.astype(np.int64)
        splits = own_split(labels, self.name)
        subset = self.params.subset
        return assemble(
            self.name,
            classes=[str(label) for label in original.target_names],
            inputs=scaled_to_unit(original.data, by=splits.train[:subset]),
            labels=labels,
            splits=splits,
            subset=subset,
            features=[str(name) for name in original.feature_names],
        )
