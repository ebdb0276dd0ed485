"""What humans and three networks answered on degraded images, beside which a curve may be drawn.

The figures are those of Geirhos et al. 2018, "Generalisation in humans and deep neural networks"
(NeurIPS; arXiv 1808.08750), aggregated from their published trials (CC BY 4.0). They are about
photographs of 16 categories at 224 or 256 pixels: on other images they are no yardstick.
"""

from __future__ import annotations

import importlib.resources
from functools import lru_cache
from typing import Literal, TypeAlias

import pandas as pd

from robench.errors import UnknownNameError

__all__ = ["ATTRIBUTION", "SYSTEMS", "Figure", "curve", "is_comparable", "published_accuracies"]

ATTRIBUTION = (
    "Humans: Geirhos, Medina Temme, Rauber, Schütt, Bethge and Wichmann 2018 (arXiv 1808.08750), "
    "means over observers of their trials, CC BY 4.0."
)
SYSTEMS = ("humans", "GoogLeNet", "VGG-19", "ResNet-152")

Figure: TypeAlias = Literal["accuracy", "entropy_bits"]
"""What is published of a system at a level."""

_COMPARABLE = ("16-class-imagenet",)
"""Data sets of the same 16 categories at the same size."""
_NOT_DRAWN = ("contrast",)
"""Of two experiments on contrast, the later one stored its images without loss, as we do."""


@lru_cache(maxsize=1)
def published_accuracies() -> pd.DataFrame:
    """One row for each experiment, level and system.

    Columns: ``kind`` and ``level`` as in `robench.DEGRADATIONS`; ``experiment``, the authors' name;
    ``system``, one of `SYSTEMS`; ``trials``; ``units``, the observers or sessions of a network;
    ``accuracy``, a fraction; ``entropy_bits`` of the answers. The last two are means over units.
    In ``colour``, ``contrast``, ``noise`` and ``eidolon`` the images were stored as JPEG, which
    makes low contrasts harder than in ``contrast-png``.
    """
    file = importlib.resources.files("robench.reference") / "geirhos2018.csv"
    with file.open(encoding="utf-8") as opened:
        return pd.read_csv(opened, comment="#")


def curve(
    kind: str,
    system: Literal["humans", "GoogLeNet", "VGG-19", "ResNet-152"] = "humans",
    *,
    of: Figure = "accuracy",
) -> dict[float, float]:
    """A figure by level of one kind, from the mildest to the strongest; empty where there is none.

    Args:
        kind: a degradation.
        system: one of `SYSTEMS`.
        of: accuracy as a fraction, or the entropy of the answers in bits.

    Raises:
        UnknownNameError: there is no such system.
    """
    if system not in SYSTEMS:
        raise UnknownNameError("system", system, SYSTEMS)
    table = published_accuracies()
    chosen = (table["kind"] == kind) & (table["system"] == system)
    found = table[chosen & ~table["experiment"].isin(_NOT_DRAWN)]
    return dict(zip(found["level"].tolist(), found[of].tolist(), strict=True))


def is_comparable(data: str) -> bool:
    """Whether the published figures are about images like those of this data set.

    Args:
        data: the name of its plug-in, without parameters: ``16-class-imagenet``.
    """
    return data in _COMPARABLE
