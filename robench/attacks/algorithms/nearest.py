"""Nearest images of other classes: a cheap floor that needs no gradient."""

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
    arXiv 1712.04248). A network is not robust because its gradients are useless: where this attack
    comes close to the others, they failed. The classes of the starting images are asked for once,
    and billed to no image.
    """

    name = "nearest-other-class"

    class Params(Frozen):
        """How many starts, and how finely."""

        candidates: Annotated[int, Field(ge=1)] = 10
        """Nearest images of another class that are tried."""
        steps: Annotated[int, Field(ge=1)] = 15
        """Halvings for each of them."""

    params: Params

    def run(self, oracle: Oracle) -> Tensor:
        """All candidates of an image at once; nothing is found where there is no candidate."""
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
    # In float64 distances come quickly, from one product of matrices, and still so exactly that a
    # batch of another size does not reorder the candidates.
    references = oracle.references.flatten(1).double()
    distance = torch.cdist(oracle.images.flatten(1).double(), references)
    same = oracle.reference_classes[None, :] == oracle.labels[:, None]
    count = min(count, len(references))
    nearest = distance.masked_fill(same, torch.inf).topk(count, dim=1, largest=False)
    rows, places = nearest.values.isfinite().nonzero(as_tuple=True)
    return rows, oracle.references[nearest.indices[rows, places]]
