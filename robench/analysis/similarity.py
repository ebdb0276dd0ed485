"""How alike two degradations are, by what they do to the pixels of the same images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from robench.reference.published_transfer import PUBLISHED_LEVELS
from robench.spec.identity import seed_for

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["degradation_similarity"]


def degradation_similarity(
    images: Tensor, levels: Mapping[str, float] = PUBLISHED_LEVELS, *, seed: int = 0
) -> pd.DataFrame:
    """The cosine between the changes that two degradations make to an image.

    The change of an image is its degraded version less itself, as a vector of pixels; the cosine is
    averaged over images. 1 means that both move each pixel in the same direction, 0 that knowing
    the one change says nothing of the other. Both draw noise of their own: beside itself a
    degradation has the part in common that does not depend on the draw. Two kinds of noise that
    begin with the same loss of contrast have at least that in common.

    Args:
        images: float [N, C, H, W] in [0, 1].
        levels: kind → level; two at least make a pair.
        seed: of the noise.

    Returns:
        One row for each ordered pair: ``a``, ``b``, ``similarity`` in [−1, 1]; NaN where one of
        them changes no image. Images that it does not change are left out.

    Raises:
        UnknownNameError: there is no such kind.
        InputError: a level that a kind does not take.
    """
    from robench.degradations import degrade

    changes = [
        {
            kind: (
                degrade(images, kind, level, seed=seed_for(seed, "similarity", draw)) - images
            ).flatten(1)
            for kind, level in levels.items()
        }
        for draw in (0, 1)
    ]
    rows = []
    for a, one in changes[0].items():
        for b, other in changes[1].items():
            lengths = one.norm(dim=1) * other.norm(dim=1)
            cosines = (one * other).sum(dim=1)[lengths > 0] / lengths[lengths > 0]
            rows.append((a, b, float(cosines.mean())))
    return pd.DataFrame(rows, columns=["a", "b", "similarity"])
