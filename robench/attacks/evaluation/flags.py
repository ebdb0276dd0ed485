"""Signs that an evaluation must not be trusted, each with its threshold.

The checks follow AutoAttack (Croce and Hein 2020, arXiv 2003.01690), the indicators of attack
failure of Pintor et al. 2022 (arXiv 2106.09947) and the advice of Carlini et al. 2019 (arXiv
1902.06705). Thresholds were set on networks trained on digits: those with ReLU raise no warning,
those with k-winners-take-all or sign activations do. ``df-gap`` is a note: it says that DeepFool
alone would mislead, and nothing against the best of all attacks. The values come from
`robench.attacks.suite.diagnostics`.
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
        "mode": _above(1e-4, "the network is stochastic: its distances depend on chance"),
        "crashed": _above(0, "share of the attacks of the suite that raised an error"),
        "probs": _above(
            0,
            "it ends in a softmax or sigmoid; the logits before that were attacked",
            "note",
        ),
        "saturated": _above(
            0.01, "share of images with outputs of exactly 0 or 1: no gradient (gradient masking)"
        ),
        "scale": Definition(
            (0.1, 100.0), "very small or large logits, rescaled for the attacks", "note"
        ),
        "box": _above(0, "share of images for which an attack returned NaN or left [0, 1]"),
        "grad0": _above(
            0.01, "share of images with a zero gradient (masking): use surrogate gradients (BPDA)"
        ),
        "unbounded": _below(
            0.999,
            "share of images that any attack fooled; on the rest they failed, it is not robust",
        ),
        "bbwins": _above(
            0.01, "share of images where a gradient-free attack beats all others (gradient masking)"
        ),
        "rayslack": _above(
            0.03, "bisection shortens DeepFool's points by this share: a discontinuous network"
        ),
        "single": _below(
            0.95, "the best single attack reaches this share of all attacks together (optimality)"
        ),
        "converge": _above(0.01, "twice the attack budget lowers the area by this share"),
        "df-gap": _above(
            1.25, "median of DeepFool alone over the median of the best of all attacks", "note"
        ),
        "precision": _above(
            0.001, "share of images whose adversarials flip back in float64 or another batch size"
        ),
        "margin": _above(
            0.001, "share of adversarials whose logit margin is as small as rounding errors"
        ),
        "noise": _below(
            1.5, "median distance of random noise over that of the attacks (gradient masking)"
        ),
        "seeds": _above(0.01, "another seed changes the area under the curve by this share"),
        "transfer": _above(
            0.01, "share of images where another network's adversarial beats all attacks"
        ),
        "declared": _above(
            0, "surrogate gradients (BPDA) were used as well; the value is their number", "note"
        ),
        "monotone": _above(0, "share of impossible distances: an error of robench, please report"),
    }
)
"""Every flag by name."""


def raise_flags(values: Mapping[str, float | None]) -> dict[str, Flag]:
    """All flags by name; one that `values` does not name was not measured."""
    return {name: definition.flag(name, values.get(name)) for name, definition in FLAGS.items()}
