"""A training distortion: what the images of a recipe go through, each time they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, model_validator

from robench.spec.base import Frozen

__all__ = ["ADVERSARIAL_NOISE", "CLEAN", "EVERYTHING", "Distortion"]

CLEAN = "clean"
"""Among several kinds: the image as it is."""
EVERYTHING = (
    CLEAN,
    "contrast",
    "low-pass",
    "high-pass",
    "phase-noise",
    "rotation",
    "salt-and-pepper",
    "uniform-noise",
)
"""What ``all-but:<kind>`` draws from: the kinds that Geirhos et al. 2018 (arXiv 1808.08750) trained
on all at once but for one; clean images in colour are one of them, greyscale is not."""
ADVERSARIAL_NOISE: Mapping[str, int] = MappingProxyType(
    {"adversarial-noise": 1, "adversarial-noise-3x3": 3}
)
"""Noise of a generator that learns to mislead the network, and the width of its kernel in pixels
(Rusak et al. 2020, arXiv 2001.06057)."""
_ALL_BUT = "all-but:"


class Distortion(Frozen):
    """What training images go through, drawn anew each time an image is shown.

    In a suite a name alone will do: ``uniform-noise``, ``all-but:uniform-noise``; else ``kind`` or
    ``kinds`` say it.
    """

    kinds: Annotated[tuple[str, ...], Field(min_length=1)]
    """One of these is drawn for each image, all equally likely: kinds as in ``robench list
    degradations``, or ``clean``; or alone ``adversarial-noise`` or ``adversarial-noise-3x3``."""
    levels: tuple[float, ...] = ()
    """One of these is drawn for each image; empty means all the published levels of its kind. Only
    for a single kind. Of adversarial noise: its root mean square over the values of an image,
    where empty means that of the data set, half the way from an image to a blank one."""
    clean_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the images that stay as they are, whatever the kinds."""
    trains: Literal["from-scratch", "fine-tuned"] = "from-scratch"
    """``from-scratch`` distorts from the first step on. ``fine-tuned`` leaves the images of the
    first `dense_steps` clean, so that the dense parent is the one that was trained on clean images,
    and distorts those of the `sparse_steps` that follow."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        if not isinstance(value, Mapping) or "kind" not in value:
            return value
        if "kinds" in value:
            raise ValueError("give either `kind` or `kinds`")
        rest = {key: item for key, item in value.items() if key != "kind"}
        kind = value["kind"]
        if isinstance(kind, str) and kind.startswith(_ALL_BUT):
            return {"kinds": _all_but(kind.removeprefix(_ALL_BUT)), **rest}
        return {"kinds": (kind,), **rest}

    @model_validator(mode="after")
    def _fits_together(self) -> Distortion:
        if len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"kinds names one twice: {', '.join(self.kinds)}")
        if self.levels and (len(self.kinds) > 1 or self.kinds == (CLEAN,)):
            raise ValueError("levels are for a single kind; several are drawn at their published")
        if len(self.kinds) > 1 and (alone := ADVERSARIAL_NOISE.keys() & set(self.kinds)):
            raise ValueError(f"{min(alone)} stands alone, with no other kind beside it")
        if self.is_adversarial and (len(self.levels) > 1 or any(x <= 0 for x in self.levels)):
            raise ValueError("adversarial noise has one level, its root mean square, above 0")
        return self

    @property
    def is_adversarial(self) -> bool:
        """Whether the noise comes from a generator that is trained beside the network."""
        return self.kinds[0] in ADVERSARIAL_NOISE

    @property
    def degradations(self) -> tuple[str, ...]:
        """The kinds that are degradations."""
        return tuple(k for k in self.kinds if k != CLEAN and k not in ADVERSARIAL_NOISE)

    @property
    def label(self) -> str:
        """How the board names it: ``uniform-noise``, ``uniform-noise (0.2, 0.5 clean)``."""
        levels = "/".join(f"{level:g}" for level in self.levels)
        clean = f"{self.clean_share:g} clean" if self.clean_share else ""
        tuned = "fine-tuned" if self.trains == "fine-tuned" else ""
        remarks = ", ".join(filter(None, (levels, clean, tuned)))
        return f"{self._name} ({remarks})" if remarks else self._name

    @property
    def _name(self) -> str:
        left_out = set(EVERYTHING) - set(self.kinds)
        if len(left_out) == 1 and set(self.kinds) < set(EVERYTHING):
            return f"all but {left_out.pop()}"
        return " + ".join(self.kinds)


def _all_but(kind: str) -> tuple[str, ...]:
    if kind not in EVERYTHING:
        raise ValueError(
            f"all-but:{kind} leaves out what is not there; allowed: "
            + ", ".join(f"all-but:{known}" for known in EVERYTHING)
        )
    return tuple(known for known in EVERYTHING if known != kind)
