"""Which levels of a degradation count in a mean: those whose picture is the kind's own."""

from __future__ import annotations

from functools import lru_cache

import pandas as pd

__all__ = ["shows_own_picture", "shows_reference_alone"]


def shows_own_picture(degraded: pd.DataFrame) -> pd.Series:
    """Whether each row tests a picture that no other kind, and no undegraded image, shows.

    The first level of most kinds leaves the grey image as it is, and that of ``uniform-noise`` and
    of ``salt-and-pepper`` is one and the same picture. A mean over levels that counts them is
    larger the fewer levels there are, and robustness seems to transfer between two kinds that share
    a picture.

    Args:
        degraded: has the columns ``kind`` and ``test_level``.
    """
    places = zip(degraded["kind"], degraded["test_level"], strict=True)
    own = [level not in _shared_levels(str(kind)) for kind, level in places]
    return pd.Series(own, index=degraded.index, dtype=bool)


def shows_reference_alone(kind: str) -> bool:
    """Whether all published levels of a kind are pictures that others show: ``greyscale``."""
    levels, shared = _levels(kind), _shared_levels(kind)
    return bool(levels) and levels <= shared


def _shared_levels(kind: str) -> frozenset[float]:
    return _declared(kind)[1]


def _levels(kind: str) -> frozenset[float]:
    return _declared(kind)[0]


@lru_cache(maxsize=256)
def _declared(kind: str) -> tuple[frozenset[float], frozenset[float]]:
    """Published levels and shared levels; none of a plug-in that is not loaded here."""
    from robench.degradations import DEGRADATIONS_REGISTRY

    if kind not in DEGRADATIONS_REGISTRY:
        return frozenset(), frozenset()
    degradation = DEGRADATIONS_REGISTRY.get(kind)
    return frozenset(degradation.levels), frozenset(degradation.shared_levels)
