"""The published matrix of training and test distortions.

Geirhos et al. 2018, "Generalisation in humans and deep neural networks" (arXiv 1808.08750): twenty
ResNet-50 networks on 16-class-ImageNet.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from functools import lru_cache

import pandas as pd

__all__ = ["PUBLISHED_LEVELS", "published_matrix"]

PUBLISHED_LEVELS: Mapping[str, float] = {
    "greyscale": 1.0,
    "contrast": 0.05,
    "low-pass": 7.0,
    "high-pass": 0.7,
    "phase-noise": 90.0,
    "rotation": 90.0,
    "salt-and-pepper": 0.2,
    "uniform-noise": 0.35,
}
"""The one level of each kind that the published matrix shows."""


@lru_cache(maxsize=1)
def published_matrix() -> pd.DataFrame:
    """One row for each of the twenty networks.

    The index is the authors' name, ``A1`` to ``C2``; columns: ``trained_on``, as the board names
    trainings, ``epochs``, and one for each test, ``clean`` and the keys of
    `PUBLISHED_LEVELS`: accuracy in percent.
    """
    file = importlib.resources.files("robench.reference") / "geirhos2018_transfer.csv"
    with file.open(encoding="utf-8") as opened:
        return pd.read_csv(opened, comment="#", index_col="network")
