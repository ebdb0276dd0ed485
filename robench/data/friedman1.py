"""Friedman's first regression problem, hidden among features of pure noise."""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from robench.data.assembly import TrainingSubset, assemble, scaled_to_unit
from robench.data.base import Data, Dataset
from robench.data.splits import own_split

__all__ = ["Friedman1"]


class Friedman1(Dataset):
    """A regression on five features that tell, and as many as one likes that do not; drawn here.

    y = 10 sin(π x1 x2) + 20 (x3 - 1/2)² + 10 x4 + 5 x5 + ε with every x uniform in [0, 1]
    (Friedman 1991), as scikit-learn makes it. Only the first five features count: the other x, and
    after them the normally distributed noise features, are there to be found out. All are scaled to
    [0, 1] by the training split, and clipped. Split 70:10:20.
    """

    name = "friedman1"

    class Params(TrainingSubset):
        """How many rows and features there are, and what the target is."""

        samples: Annotated[int, Field(ge=10)] = 577
        """Rows in all; of the default 404 train, 58 validate and 115 test."""
        uniform_features: Annotated[int, Field(ge=5)] = 10
        """x1, x2, …, of which the first five make the target."""
        noise_features: Annotated[int, Field(ge=0)] = 0
        """Further features, drawn from N(0, 1), that have nothing to do with the target."""
        noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
        """Standard deviation of ε, which nothing can predict."""
        scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
        """The target is ``scale * y + offset``. With 1.5 and 1 it has about the mean and spread of
        the house prices of Boston, on which methods of this kind were shown first."""
        offset: Annotated[float, Field(allow_inf_nan=False)] = 0.0
        seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
        """Of the draw: another seed is another data set."""

    def load(self, _root: Path, /) -> Data:
        """Rows float32 [N, uniform_features + noise_features], with targets float32 [N]."""
        from sklearn.datasets import make_friedman1

        params = self.params
        # The stream of RandomState never changes, unlike that of NumPy's newer generators.
        random = np.random.RandomState(params.seed)
        uniform, target = make_friedman1(
            params.samples, params.uniform_features, noise=params.noise, random_state=random
        )
        noise = random.standard_normal((params.samples, params.noise_features))
        splits = own_split(np.zeros(params.samples, dtype=np.int64), self.name)
        return assemble(
            self.name,
            classes=(),
            inputs=scaled_to_unit(np.hstack([uniform, noise]), by=splits.train[: params.subset]),
            labels=params.scale * target + params.offset,
            splits=splits,
            subset=params.subset,
            features=[
                *(f"x{number}" for number in range(1, params.uniform_features + 1)),
                *(f"noise{number}" for number in range(1, params.noise_features + 1)),
            ],
        )
