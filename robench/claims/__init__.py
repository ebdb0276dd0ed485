"""Claims of papers, judged by records: do the methods do here what was published of them?

A claim is one value in one file, see `robench.claims.base.Claim`, and one line in the table below.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from robench.errors import UnknownNameError

if TYPE_CHECKING:
    from robench.claims.base import Claim

__all__ = ["CLAIMS", "claim", "claims"]

CLAIMS: Mapping[str, str] = {
    "ssl": "robench.claims.wen2016:CLAIM",
    "halo": "robench.claims.seto2021:CLAIM",
    "rln": "robench.claims.shavitt2018:CLAIM",
    "noiseout": "robench.claims.babaeizadeh2016:CLAIM",
    "noise-generalisation": "robench.claims.geirhos2018:CLAIM",
    "noise-ordering": "robench.claims.rusak2020:CLAIM",
    "sparse-noise": "robench.claims.sparse_noise:CLAIM",
}
"""Every claim by name, in the order in which they are judged."""


def claim(name: str) -> Claim:
    """The claim of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in CLAIMS:
        raise UnknownNameError("claim", name, CLAIMS)
    module, _, attribute = CLAIMS[name].partition(":")
    found: Claim = getattr(import_module(module), attribute)
    return found


def claims() -> tuple[Claim, ...]:
    """All of them, in order."""
    return tuple(map(claim, CLAIMS))
