"""The table of built-in degradations: where each is defined, and its published levels.

It needs no torch, so that listing kinds and checking a suite is quick. A new degradation is one
function in one file and one line here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["PUBLISHED", "Published", "Reference"]

Reference: TypeAlias = Literal["original", "grey", "grey at 30 % contrast"]
"""Pictures that several kinds show, each at a level of its own: the reference conditions of the
paper. ``"original"`` is the image itself, ``"grey"`` its grey plane in every channel."""


class Published(NamedTuple):
    """One line of the table."""

    target: str
    """``"package.module:attribute"`` of the `Degradation`."""
    levels: tuple[float, ...]
    """Levels of the paper, from the mildest to the strongest; rotation by its angle."""
    references: Mapping[float, Reference] = MappingProxyType({})
    """Levels that show a reference picture, which other kinds show as well."""


_GREY_AT_0: Mapping[float, Reference] = MappingProxyType({0.0: "grey"})
_REACHES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)

PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "greyscale": Published(
            "robench.degradations.colour:greyscale", (0.0, 1.0), {0.0: "original", 1.0: "grey"}
        ),
        "contrast": Published(
            "robench.degradations.colour:contrast",
            (1.0, 0.5, 0.3, 0.15, 0.1, 0.05, 0.03, 0.01),
            {1.0: "grey", 0.3: "grey at 30 % contrast"},
        ),
        "uniform-noise": Published(
            "robench.degradations.noise:uniform_noise",
            (0.0, 0.03, 0.05, 0.1, 0.2, 0.35, 0.6, 0.9),
            {0.0: "grey at 30 % contrast"},
        ),
        "salt-and-pepper": Published(
            "robench.degradations.noise:salt_and_pepper",
            (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95),
            {0.0: "grey at 30 % contrast"},
        ),
        "low-pass": Published(
            "robench.degradations.filters:low_pass",
            (0.0, 1.0, 3.0, 5.0, 7.0, 10.0, 15.0, 40.0),
            _GREY_AT_0,
        ),
        "high-pass": Published(
            "robench.degradations.filters:high_pass",
            (math.inf, 3.0, 1.5, 1.0, 0.7, 0.55, 0.45, 0.4),
            {math.inf: "grey"},
        ),
        "phase-noise": Published(
            "robench.degradations.phase:phase_noise",
            (0.0, 30.0, 60.0, 90.0, 120.0, 150.0, 180.0),
            _GREY_AT_0,
        ),
        "power-equalisation": Published(
            "robench.degradations.power:power_equalisation", (0.0, 1.0), _GREY_AT_0
        ),
        "opponent-colour": Published(
            "robench.degradations.opponent:opponent_colour", (0.0, 1.0), {0.0: "original"}
        ),
        "rotation": Published(
            "robench.degradations.rotation:rotation", (0.0, 90.0, 180.0, 270.0), _GREY_AT_0
        ),
        "eidolon-1": Published("robench.degradations.eidolon:eidolon_1", _REACHES),
        "eidolon-2": Published("robench.degradations.eidolon:eidolon_2", _REACHES),
        "eidolon-3": Published("robench.degradations.eidolon:eidolon_3", _REACHES),
    }
)
