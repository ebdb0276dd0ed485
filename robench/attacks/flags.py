"""Signs that an evaluation must not be trusted, each with its threshold.

The checks follow AutoAttack (Croce and Hein 2020, arXiv 2003.01690), the indicators of attack
failure of Pintor et al. 2022 (arXiv 2106.09947) and the advice of Carlini et al. 2019 (arXiv
1902.06705).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from robench.attacks.budget import Oracle, lengths
from robench.attacks.problem import STABLE_WITHIN, Problem

__all__ = ["Evidence", "Flag", "has_no_gradient", "margin", "raise_flags"]


@dataclass(frozen=True)
class Flag:
    """One check of an evaluation.

    Attributes:
        name: short, stable.
        value: what was measured; `None` where there was nothing to measure it on.
        threshold: what `value` was compared with; two numbers are the ends of the sound range.
        raised: whether the value is on the wrong side.
        meaning: what a raised flag says.
    """

    name: str
    value: float | None
    threshold: float | tuple[float, float]
    raised: bool
    meaning: str


@dataclass(frozen=True)
class Evidence:
    """What the flags are computed from, one value for each image.

    Attributes:
        correct: the model puts the image in its class, bool [N].
        distance: the final one, float64 [N].
        deepfool: DeepFool's own distance, float64 [N]; `None` if the suite has no DeepFool.
        deepfool_on_ray: the same after bisection, float64 [N].
        has_no_gradient: the margin's gradient at the image is zero or not finite, bool [N].
        lost: adversarials were found, but none survived the check, bool [N].
    """

    correct: Tensor
    distance: Tensor
    deepfool: Tensor | None
    deepfool_on_ray: Tensor | None
    has_no_gradient: Tensor
    lost: Tensor


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Logit of the label minus the largest other one, [n]."""
    column = labels[:, None]
    others = logits.scatter(1, column, -torch.inf)
    return logits.gather(1, column)[:, 0] - others.amax(dim=1)


def has_no_gradient(problem: Problem) -> Tensor:
    """Where the margin's gradient is zero or not finite though the class is right, bool [n]."""
    flat = torch.zeros_like(problem.correct)
    rows = problem.correct.nonzero().flatten()
    if len(rows):
        oracle = Oracle(problem.select(rows))
        _, gradient = oracle.gradient(
            oracle.images, oracle.rows, lambda logits: margin(logits, oracle.labels)
        )
        flat[rows] = lengths(gradient) == 0
    return flat


def raise_flags(problem: Problem, evidence: Evidence) -> dict[str, Flag]:
    """All checks by name."""
    correct = evidence.correct
    found = correct & evidence.distance.isfinite()
    flags = (
        _above(
            "mode",
            problem.instability,
            STABLE_WITHIN,
            "the model is stochastic: distances depend on chance",
        ),
        _above(
            "probs",
            float(problem.is_probabilistic),
            0.5,
            "the model returns probabilities; their logarithm was attacked",
        ),
        _outside(
            "scale",
            margin(problem.logits, problem.labels).abs().median().item(),
            (0.1, 100.0),
            "the margins of the logits are extreme; attacks that do not rescale them fail",
        ),
        _above(
            "grad0",
            _share(evidence.has_no_gradient, correct),
            0.01,
            "images without a gradient; above one half the network needs a surrogate",
        ),
        _below(
            "unbounded",
            _share(found, correct),
            0.999,
            "no adversarial at any distance: the attack failed, the network is not robust",
        ),
        _above(
            "df-gap",
            _deepfool_gap(evidence),
            1.10,
            "DeepFool's median exceeds the best one: DeepFool alone misleads here",
        ),
        _above(
            "rayslack",
            _ray_slack(evidence),
            0.03,
            "DeepFool's points shorten along the ray, as on discontinuous networks",
        ),
        _above(
            "precision",
            _share(evidence.lost, found | evidence.lost),
            0.001,
            "images whose adversarials all flip back in float64 or in another batch: dropped",
        ),
    )
    return {flag.name: flag for flag in flags}


def _above(name: str, value: float | None, threshold: float, meaning: str) -> Flag:
    return Flag(name, value, threshold, value is not None and value > threshold, meaning)


def _below(name: str, value: float | None, threshold: float, meaning: str) -> Flag:
    return Flag(name, value, threshold, value is not None and value < threshold, meaning)


def _outside(name: str, value: float, sound: tuple[float, float], meaning: str) -> Flag:
    return Flag(name, value, sound, not sound[0] <= value <= sound[1], meaning)


def _share(of: Tensor, among: Tensor) -> float | None:
    return of[among].to(torch.float64).mean().item() if among.any() else None


def _deepfool_gap(evidence: Evidence) -> float | None:
    if evidence.deepfool is None or not evidence.correct.any():
        return None
    best = np.median(evidence.distance[evidence.correct].numpy(force=True))
    deepfool = np.median(evidence.deepfool[evidence.correct].numpy(force=True))
    return float(deepfool / best) if np.isfinite(best) else None


def _ray_slack(evidence: Evidence) -> float | None:
    if evidence.deepfool is None or evidence.deepfool_on_ray is None:
        return None
    found = evidence.correct & evidence.deepfool.isfinite()
    if not found.any():
        return None
    return (1 - evidence.deepfool_on_ray[found] / evidence.deepfool[found]).mean().item()
