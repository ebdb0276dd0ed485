"""Values that the flags compare with their thresholds: symptoms of a failed evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from robench.attacks.core.inputs import AttackInputs
from robench.attacks.core.losses import logit_margin
from robench.attacks.core.oracle import Oracle, lengths
from robench.attacks.evaluation.optimality import optimality
from robench.attacks.suite.best_adversarials import SMALLEST_MARGIN
from robench.attacks.suite.report import MemberReport

__all__ = ["Diagnostics", "has_no_gradient", "measure"]

_CLEARLY = 0.99
"""An attack is clearly closer where its distance is below this share of the others' smallest."""


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """What an evaluation found, one value for each image.

    Attributes:
        correct: the model puts the image in its class, bool [N].
        distance: the final one, float64 [N].
        margin: at the adversarial, relative to clean images; see `AttackReport`, float64 [N].
        members: what each run found.
        has_no_gradient: the margin's gradient at the image is zero or not finite, bool [N].
        lost: adversarials were found, but none survived the check, bool [N].
        by_reference: the distance is that of an image of another class, brought nearer, since no
            attack found anything, bool [N].
        surrogates: number of surrogate networks whose gradients were used (BPDA).
    """

    correct: Tensor
    distance: Tensor
    margin: Tensor
    members: Mapping[str, MemberReport]
    has_no_gradient: Tensor
    lost: Tensor
    by_reference: Tensor
    surrogates: int


def has_no_gradient(inputs: AttackInputs) -> Tensor:
    """Where the margin's gradient is zero or not finite though the class is right, bool [n]."""
    flat = torch.zeros_like(inputs.correct)
    rows = inputs.correct.nonzero().flatten()
    if len(rows):
        oracle = Oracle(inputs.select(rows))
        _, gradient = oracle.gradient(
            oracle.images, oracle.rows, lambda logits: logit_margin(logits, oracle.labels)
        )
        flat[rows] = lengths(gradient) == 0
    return flat


def measure(inputs: AttackInputs, diagnostics: Diagnostics) -> dict[str, float | None]:
    """The value of each flag that needs no attack of its own; `None` for nothing to measure."""
    correct, distance = diagnostics.correct, diagnostics.distance
    found = correct & distance.isfinite()
    deepfool = next((m for m in diagnostics.members.values() if m.attack == "deepfool"), None)
    return {
        "mode": inputs.instability,
        "probs": float(inputs.is_probabilistic),
        "saturated": _share(inputs.saturated, correct),
        "crashed": _share_crashed(diagnostics),
        "scale": inputs.margin,
        "box": _share_out_of_bounds(diagnostics),
        "grad0": _share(diagnostics.has_no_gradient, correct),
        "unbounded": _share(found & ~diagnostics.by_reference, correct),
        "bbwins": _share_without_gradients(diagnostics),
        "rayslack": None if deepfool is None else _ray_slack(deepfool, correct),
        "single": _best_single(diagnostics),
        "df-gap": None if deepfool is None else _gap(deepfool.distance, distance, correct),
        "precision": _share(diagnostics.lost, found | diagnostics.lost),
        "margin": _share(diagnostics.margin < 0.9 * SMALLEST_MARGIN, found),
        "transfer": _share_transferred(diagnostics),
        "declared": float(diagnostics.surrogates),
        "monotone": _share_impossible(diagnostics),
    }


def _share(of: Tensor, among: Tensor) -> float | None:
    return of[among].to(torch.float64).mean().item() if among.any() else None


def _share_crashed(diagnostics: Diagnostics) -> float:
    errors = [member.error is not None for member in diagnostics.members.values()]
    return sum(errors) / len(errors) if errors else 0.0


def _share_out_of_bounds(diagnostics: Diagnostics) -> float | None:
    count = int(diagnostics.correct.sum())
    worst = max((member.out_of_bounds for member in diagnostics.members.values()), default=0)
    return worst / count if count else None


def _closest(members: list[MemberReport]) -> Tensor | None:
    if not members:
        return None
    return torch.stack([member.distance_on_ray for member in members]).amin(dim=0)


def _share_without_gradients(diagnostics: Diagnostics) -> float | None:
    """Images where an attack that asked for no gradient is clearly closer than all that did."""
    own = [member for member in diagnostics.members.values() if member.attack != "transfer"]
    blind = _closest([member for member in own if not member.backwards.any()])
    guided = _closest([member for member in own if member.backwards.any()])
    if blind is None or guided is None:
        return None
    return _share(blind < _CLEARLY * guided, diagnostics.correct)


def _share_transferred(diagnostics: Diagnostics) -> float | None:
    """Images where another network's adversarial is clearly closer than all attacks."""
    members = diagnostics.members.values()
    transferred = _closest([member for member in members if member.attack == "transfer"])
    own = _closest([member for member in members if member.attack != "transfer"])
    if transferred is None or own is None:
        return None
    return _share(transferred < _CLEARLY * own, diagnostics.correct)


def _best_single(diagnostics: Diagnostics) -> float | None:
    found = (
        optimality(member.distance_on_ray, diagnostics.distance, diagnostics.correct)
        for member in diagnostics.members.values()
        if not member.is_refinement
    )
    return max((value for value in found if value is not None), default=None)


def _gap(distance: Tensor, best: Tensor, correct: Tensor) -> float | None:
    if not correct.any():
        return None
    shortest = np.median(best[correct].numpy(force=True))
    median = np.median(distance[correct].numpy(force=True))
    return float(median / shortest) if np.isfinite(shortest) else None


def _ray_slack(member: MemberReport, correct: Tensor) -> float | None:
    found = correct & member.distance.isfinite()
    if not found.any():
        return None
    return (1 - member.distance_on_ray[found] / member.distance[found]).mean().item()


def _share_impossible(diagnostics: Diagnostics) -> float:
    """Images whose distance keeps the curve from starting at the clean accuracy, and falling."""
    is_possible = (diagnostics.distance >= 0) & ((diagnostics.distance > 0) == diagnostics.correct)
    return (~is_possible).to(torch.float64).mean().item()
