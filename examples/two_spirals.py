"""Two spirals: two classes that no straight line tells apart.

Lang and Witbrock 1988, *Learning to tell two spirals apart*: each class is an arm that winds three
times around the origin, the second turned by half a turn. The original has 97 points an arm without
noise; here points are drawn along the arms, always the same ones, with noise across.
"""

from pathlib import Path

import numpy as np
from pydantic import Field

from robench.data.assembly import TrainingSubset, assemble, scaled_to_unit
from robench.data.base import Data, Dataset
from robench.data.splits import own_split

__all__ = ["TwoSpirals"]

_TURNS = 3


class TwoSpirals(Dataset):
    """Points on two arms that wind around each other: two features, two classes."""

    name = "two-spirals"

    class Params(TrainingSubset):
        """How many points, and how far from their arm."""

        points: int = Field(1000, ge=40, le=100_000)
        """Of both classes together."""
        noise: float = Field(0.02, ge=0, le=1)
        """Standard deviation of each coordinate; arms of one class are 1/3 apart."""

    params: Params

    def load(self, _root: Path, /) -> Data:
        """Float32 [N, 2] in [0, 1], split 70:10:20."""
        draw = np.random.default_rng(0)
        labels = np.arange(self.params.points) % 2
        along = np.sqrt(draw.uniform(0.01, 1, len(labels)))  # even density along the arm
        angle = 2 * np.pi * _TURNS * along + np.pi * labels
        arm = along[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)  # [N, 2]
        rows = arm + draw.normal(0, self.params.noise, arm.shape)
        splits = own_split(labels, self.name)
        return assemble(
            self.name,
            classes=["first arm", "second arm"],
            inputs=scaled_to_unit(rows, by=splits.train[: self.params.subset]),
            labels=labels,
            splits=splits,
            subset=self.params.subset,
            features=["x", "y"],
        )
