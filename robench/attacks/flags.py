"""Signs that an evaluation must not be trusted, each with its threshold.

The checks follow AutoAttack (Croce and Hein 2020, arXiv 2003.01690), the indicators of attack
failure of Pintor et al. 2022 (arXiv 2106.09947) and the advice of Carlini et al. 2019 (arXiv
1902.06705). Thresholds were set on networks trained on digits: those with ReLU raise no warning,
those with k-winners-take-all or sign activations do; those with tanh raise ``df-gap``, rightly.
The values come from `robench.attacks.evidence`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["FLAGS", "Definition", "Flag", "raise_flags"]

Kind = Literal["warning", "note"]


@dataclass(frozen=True)
class Flag:
    """One check of an evaluation.

    Attributes:
        name: short, stable.
        value: what was measured; `None` where it was not, or there was nothing to measure it on.
        threshold: what `value` was compared with; two numbers are the ends of the sound range.
        raised: whether the value is on the wrong side; false where there is none.
        meaning: what a raised flag says.
        kind: ``"warning"``: the distances may flatter the network; ``"note"``: something was done
            about it, or a reader should know.
    """

    name: str
    value: float | None
    threshold: float | tuple[float, float]
    raised: bool
    meaning: str
    kind: Kind


@dataclass(frozen=True)
class Definition:
    """What a flag compares, and says.

    Attributes:
        sound: the smallest and the largest value that raise nothing.
        meaning: of the raised flag, in one line.
        kind: see `Flag`.
    """

    sound: tuple[float, float]
    meaning: str
    kind: Kind = "warning"

    def flag(self, name: str, value: float | None) -> Flag:
        """The flag for a value; NaN raises it."""
        low, high = self.sound
        raised = value is not None and not low <= value <= high
        threshold: float | tuple[float, float] = self.sound
        if low == -_INFINITY:
            threshold = high
        elif high == _INFINITY:
            threshold = low
        return Flag(name, value, threshold, raised, self.meaning, self.kind)


_INFINITY = float("inf")


def _above(threshold: float, meaning: str, kind: Kind = "warning") -> Definition:
    return Definition((-_INFINITY, threshold), meaning, kind)


def _below(threshold: float, meaning: str) -> Definition:
    return Definition((threshold, _INFINITY), meaning)


FLAGS: Mapping[str, Definition] = MappingProxyType(
    {
        "mode": _above(1e-4, "the network is stochastic: distances depend on chance"),
        "probs": _above(0, "it returns probabilities; their logarithm was attacked", "note"),
        "scale": Definition(
            (0.1, 100.0), "extreme logits; a constant brought them to a usual size", "note"
        ),
        "box": _above(0, "share of images for which an attack left the box, or numbers"),
        "grad0": _above(
            0.01, "share of images without a gradient; above one half it needs a surrogate"
        ),
        "unbounded": _below(
            0.999, "adversarials missing at any distance: the attack failed, it is not robust"
        ),
        "bbwins": _above(
            0.01, "share of images where no attack with gradients came within 1 % of one without"
        ),
        "rayslack": _above(
            0.03, "DeepFool's points shorten along the ray, as on networks that jump"
        ),
        "single": _below(0.95, "no attack alone comes near the best of all of them"),
        "converge": _above(0.01, "twice the budget still shortens distances by this share"),
        "df-gap": _above(1.25, "DeepFool's median over the best: DeepFool alone misleads here"),
        "precision": _above(
            0.001, "share of images whose adversarials flip back in float64 or another batch"
        ),
        "margin": _above(
            0.001, "share of adversarials so near to the boundary that it may be rounding"
        ),
        "noise": _below(1.5, "random directions come within this factor of the attacks"),
        "seeds": _above(0.01, "another seed changes the area under the curve by this share"),
        "transfer": _above(0.01, "share of images where another network's adversarial wins"),
        "declared": _above(0, "gradients of so many stand-ins were followed as well", "note"),
        "monotone": _above(0, "impossible distances: an error of robench itself"),
    }
)
"""Every flag by name."""


def raise_flags(values: Mapping[str, float | None]) -> dict[str, Flag]:
    """All flags by name; one that `values` does not name was not measured."""
    return {name: definition.flag(name, values.get(name)) for name, definition in FLAGS.items()}
