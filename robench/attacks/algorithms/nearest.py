"""Nearest images of other classes: a cheap gradient-free baseline."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from robench.attacks.core.base import Attack
from robench.attacks.core.bisection import bisect_ray
from robench.attacks.core.oracle import Oracle
from robench.spec.base import Frozen

__all__ = ["NearestOtherClass", "nearest_of_other_classes"]


class NearestOtherClass(Attack):
    """Bisect towards the nearest images that the model puts in another class.

    Starting from other images is how decision-based attacks begin (Brendel, Rauber, Bethge 2018,
    arXiv 1712.04248). Where this baseline comes close to the gradient-based attacks, they failed
    (gradient masking). The classes of the starting images are computed once and count against no
    image's query budget.
    """

    name = "nearest-other-class"

    class Params(Frozen):
        """Number of starting images, and precision of the bisection."""

        candidates: Annotated[int, Field(ge=1)] = 10
        """Number of nearest images of another class that are tried."""
        steps: Annotated[int, Field(ge=1)] = 15
        """Halvings for each of them."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """Bisect all candidates of an image in parallel; without a candidate nothing is found."""
        rows, starts = nearest_of_other_classes(oracle, self.params.candidates)
        if len(rows):
            oracle.query(starts, rows)
            bisect_ray(oracle, starts, rows, steps=self.params.steps)
        return oracle.best


def nearest_of_other_classes(oracle: Oracle, count: int) -> tuple[Tensor, Tensor]:
    """The nearest references that the model puts in another class than each image's.

    Args:
        oracle: knows the images and the references.
        count: references for each image, at most.

    Returns:
        Rows, int64 [m], ascending, with the nearest reference of each row first, and the
        references [m, ...]. A row without any is left out.
    """
    # float64: cdist uses a matrix product, and its rounding is too small for the batch size to
    # change the order of the candidates. Distances [n, M].
    references = oracle.references.flatten(1).double()
    distance = torch.cdist(oracle.images.flatten(1).double(), references)
    same = oracle.reference_classes[None, :] == oracle.labels[:, None]
    count = min(count, len(references))
    nearest = distance.masked_fill(same, torch.inf).topk(count, dim=1, largest=False)
    rows, places = nearest.values.isfinite().nonzero(as_tuple=True)
    return rows, oracle.references[nearest.indices[rows, places]]
